/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built provider module within OpenSSL, as far as it comes without a cloud. PROVIDERS names its
 * folder.
 */
#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

enum { LINES_MAX = 64 * 1024 };

/* A library context of its own, with providers in the order given. */
struct program {
    OSSL_LIB_CTX *context;
    OSSL_PROVIDER *providers[3];
};

static void start(struct program *program, const char *first, const char *second)
{
    const char *names[] = {first, second};

    memset(program, 0, sizeof(*program));
    program->context = OSSL_LIB_CTX_new();
    OSSL_PROVIDER_set_default_search_path(program->context, getenv("PROVIDERS"));
    for (size_t index = 0; index < 2 && names[index]; index++) {
        program->providers[index] = OSSL_PROVIDER_load(program->context, names[index]);
        if (!program->providers[index])
            fail_msg("provider %s does not load from PROVIDERS", names[index]);
    }
}

static void end(struct program *program)
{
    for (size_t index = 0; program->providers[index]; index++)
        OSSL_PROVIDER_unload(program->providers[index]);
    OSSL_LIB_CTX_free(program->context);
}

/* What a program sees of a PEM file, in words. */
struct sight {
    char lines[LINES_MAX];
    size_t size;
};

static void note(struct sight *sight, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void note(struct sight *sight, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    sight->size += (size_t)vsnprintf(
            sight->lines + sight->size, sizeof(sight->lines) - sight->size, format, arguments);
    va_end(arguments);
    assert_true(sight->size < sizeof(sight->lines));
}

static void note_errors(struct sight *sight)
{
    const char *file, *function, *data;
    unsigned long code;
    int line, flags;

    while ((code = ERR_get_error_all(&file, &line, &function, &data, &flags)) != 0)
        note(sight, "  %lx %s:%d %s %s\n", code, file, line, function, data);
}

static int give_passphrase(char *buffer, int size, int writing, void *argument)
{
    (void)writing;
    note(argument, "  passphrase asked\n");
    return snprintf(buffer, (size_t)size, "secret");
}

/* A program's own kind of BIO, over memory, that knows nothing but the end of its data. */
static int plain_read(BIO *bio, char *bytes, size_t size, size_t *size_read)
{
    return BIO_read_ex(BIO_get_data(bio), bytes, size, size_read);
}

static int plain_gets(BIO *bio, char *line, int size)
{
    return BIO_gets(BIO_get_data(bio), line, size);
}

static long plain_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_EOF ? BIO_ctrl(BIO_get_data(bio), command, number, pointer) : 0;
}

static int plain_destroy(BIO *bio)
{
    return BIO_free(BIO_get_data(bio));
}

static BIO *open_plain(const char *text)
{
    static BIO_METHOD *method;
    BIO *bio;

    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "plain");
        BIO_meth_set_read_ex(method, plain_read);
        BIO_meth_set_gets(method, plain_gets);
        BIO_meth_set_ctrl(method, plain_ctrl);
        BIO_meth_set_destroy(method, plain_destroy);
    }
    bio = BIO_new(method);
    BIO_set_data(bio, BIO_new_mem_buf(text, -1));
    BIO_set_init(bio, 1);
    return bio;
}

static BIO *open_file(const char *text)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    rewind(file);
    return BIO_new_fp(file, BIO_CLOSE);
}

static BIO *open_pipe(const char *text)
{
    int ends[2];

    assert_int_equal(0, pipe(ends));
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    return BIO_new_fd(ends[0], BIO_CLOSE);
}

static BIO *open_memory(const char *text)
{
    return BIO_new_mem_buf(text, -1);
}

static BIO *open_buffered_file(const char *text)
{
    return BIO_push(BIO_new(BIO_f_buffer()), open_file(text));
}

static BIO *(*const openers[])(const char *) = {
        open_memory, open_file, open_pipe, open_buffered_file, open_plain};

enum { OPENER_COUNT = sizeof(openers) / sizeof(openers[0]) };

/* An error that the program left on the queue; 0: none. */
static void raise_older_error(int reason)
{
    ERR_clear_error();
    if (reason)
        ERR_raise(ERR_LIB_USER, reason);
}

static void look_at_key(
        const struct program *program, BIO *bio, int older_reason, struct sight *sight)
{
    char rest[256];
    EVP_PKEY *key;
    int size;

    raise_older_error(older_reason);
    key = PEM_read_bio_PrivateKey_ex(bio, NULL, give_passphrase, sight, program->context, NULL);
    note(sight, "key %s, then at %d\n", key ? EVP_PKEY_get0_type_name(key) : "none", BIO_tell(bio));
    note_errors(sight);
    while ((size = BIO_read(bio, rest, sizeof(rest))) > 0)
        note(sight, "%.*s", size, rest);
    EVP_PKEY_free(key);
    BIO_free_all(bio);
}

static void look_through_store(
        const struct program *program, const char *text, int expect, struct sight *sight)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_passphrase, 0);
    OSSL_STORE_CTX *store =
            OSSL_STORE_attach(bio, "file", program->context, NULL, ui, sight, NULL, NULL, NULL);

    assert_non_null(store);
    if (expect != 0)
        OSSL_STORE_expect(store, expect);
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        note(sight, "expect %d: %d, error %d, then at %d\n", expect,
                info ? OSSL_STORE_INFO_get_type(info) : 0, OSSL_STORE_error(store), BIO_tell(bio));
        note_errors(sight);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    UI_destroy_method(ui);
    BIO_free(bio);
}

static void look(const struct program *program, const char *text, struct sight *sight)
{
    static const int expected[] = {0, OSSL_STORE_INFO_PKEY, OSSL_STORE_INFO_CERT};
    static const int older_reasons[] = {0, 101};

    memset(sight, 0, sizeof(*sight));
    for (size_t opener = 0; opener < OPENER_COUNT; opener++)
        for (size_t reason = 0; reason < sizeof(older_reasons) / sizeof(older_reasons[0]); reason++)
            look_at_key(program, openers[opener](text), older_reasons[reason], sight);
    for (size_t index = 0; index < sizeof(expected) / sizeof(expected[0]); index++)
        look_through_store(program, text, expected[index], sight);
}

#define ED25519                                                                                    \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"                           \
    "-----END PRIVATE KEY-----\n"
#define IDENTITY(base64)                                                                           \
    "-----BEGIN ALIYUN-IOT IDENTITY-----\n" base64 "\n-----END ALIYUN-IOT IDENTITY-----\n"

#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
#define ENCRYPTED                                                                                  \
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"              \
    "00112233445566778899AABBCCDDEEFF\n\nQUJDREVGR0hJSktMTU5PUA==\n"                               \
    "-----END RSA PRIVATE KEY-----\n"
#define FOUR(text) text text text text

static void with_files_of_others_nothing_changes(void **state)
{
    static const char *const texts[] = {
            ED25519,
            CERTIFICATE CERTIFICATE ED25519 "more\n" CERTIFICATE,
            CERTIFICATE "text\n" CERTIFICATE,
            FOUR(FOUR(CERTIFICATE)) FOUR(CERTIFICATE) ED25519 "more",
            CERTIFICATE ENCRYPTED CERTIFICATE,
            "-----BEGIN CERTIFICATE-----\r\nQUJD\r\n-----END CERTIFICATE-----\r\n" ED25519,
            "-----BEGIN CERTIFICATE-----\nQUJD\n" ED25519,
            "",
            "text\n" ED25519 "text\n" ED25519,
            "nothing",
            "-----BEGIN X-----\nQUJD\n-----END X-----\n" ED25519,
            CERTIFICATE ED25519,
            /* Broken blocks, and where libcrypto goes on after them. */
            "-----BEGIN X-----\nQUJD\n-----END Y-----\n" ED25519,
            "-----BEGIN X-----\n\n\n" ED25519,
            "-----BEGIN X-----\n\nQUJD\nQUJD\n" ED25519,
            "-----BEGIN X-----\nQUJD\n" ED25519 ED25519,
            ENCRYPTED ED25519,
    };
    static struct sight without, with;
    struct program alone, first, last;

    (void)state;
    start(&alone, "default", NULL);
    start(&first, "aliyun-iot", "default");
    start(&last, "default", "aliyun-iot");
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        look(&alone, texts[index], &without);
        look(&first, texts[index], &with);
        assert_string_equal(with.lines, without.lines);
        look(&last, texts[index], &with);
        assert_string_equal(with.lines, without.lines);
    }
    end(&alone);
    end(&first);
    end(&last);
}

/* The oldest error is ours, and speaks of the phrase. Programs show the oldest or the newest. */
static void assert_raised(const char *reason, const char *phrase)
{
    const char *data = "";
    unsigned long code = ERR_peek_error_data(&data, NULL);

    if (code == 0 || strcmp(ERR_reason_error_string(code), reason) != 0 || !strstr(data, phrase))
        fail_msg("%lx %s: %s", code, ERR_reason_error_string(code), data);
    ERR_clear_error();
}

static void assert_no_key(const char *text, const char *reason, const char *phrase)
{
    static const char *const orders[][2] = {{"default", "aliyun-iot"}, {"aliyun-iot", "default"}};

    for (size_t index = 0; index < 2; index++) {
        struct program program;
        BIO *bio = BIO_new_mem_buf(text, -1);

        start(&program, orders[index][0], orders[index][1]);
        ERR_clear_error();
        errno = ENOENT;
        assert_null(PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, program.context, NULL));
        assert_int_equal(errno, 0);
        assert_raised(reason, phrase);
        end(&program);
        BIO_free(bio);
    }
}

static void a_broken_identity_file_is_an_error_that_says_what_is_wrong(void **state)
{
    const char *reason = aliyun_iot_reason_text(ALIYUN_IOT_REASON_BAD_IDENTITY_FILE);

    (void)state;
    assert_no_key(IDENTITY("!!!!"), reason, "not base64");
    assert_no_key(IDENTITY(""), reason, "empty");
    assert_no_key(IDENTITY("YWxpeXVuLWlvdDpwAC9k"), reason, "NUL");
    assert_no_key("-----BEGIN ALIYUN-IOT IDENTITY-----\nQUJD\n", reason, "no END line");
    assert_no_key("-----BEGIN X-----\nQUJD\n-----END X-----\n" IDENTITY("!"), reason, "not base64");
    assert_no_key(IDENTITY("YWxpeXVuLWlvdDpw"), aliyun_iot_reason_text(ALIYUN_IOT_REASON_BAD_URI),
            "aliyun-iot:p: ");
}

/* The URI in the block is malformed: the error shows that the block was found. */
#define BAD_IDENTITY IDENTITY("YWxpeXVuLWlvdDpw")

static bool error_is_queued(enum aliyun_iot_reason reason)
{
    const char *text = aliyun_iot_reason_text(reason);
    bool found = false;
    unsigned long code;

    while ((code = ERR_get_error()) != 0) {
        const char *words = ERR_reason_error_string(code);

        found = found || (words && strcmp(words, text) == 0);
    }
    return found;
}

static bool finds_block(
        const struct program *program, BIO *(*opener)(const char *), const char *text, int reason)
{
    BIO *bio = opener(text);

    raise_older_error(reason);
    assert_null(PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, program->context, NULL));
    BIO_free_all(bio);
    return error_is_queued(ALIYUN_IOT_REASON_BAD_URI);
}

static void a_block_is_found_in_any_place_whatever_the_error_queue_holds(void **state)
{
    static const char *const texts[] = {
            BAD_IDENTITY,
            CERTIFICATE BAD_IDENTITY,
            CERTIFICATE BAD_IDENTITY CERTIFICATE,
            "text\n" CERTIFICATE "text\n" CERTIFICATE "text\n" BAD_IDENTITY "text\n",
            FOUR(FOUR(CERTIFICATE)) BAD_IDENTITY CERTIFICATE,
    };
    static const char *const orders[][2] = {{"default", "aliyun-iot"}, {"aliyun-iot", "default"}};

    (void)state;
    for (size_t order = 0; order < 2; order++) {
        struct program program;

        start(&program, orders[order][0], orders[order][1]);
        for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
            const char *text = texts[index];

            assert_true(finds_block(&program, open_memory, text, 0));
            assert_true(finds_block(&program, open_memory, text, 101));
            assert_true(finds_block(&program, open_memory, text, ERR_R_UNSUPPORTED));
            assert_true(finds_block(&program, open_file, text, 101));
            assert_true(finds_block(&program, open_pipe, text, 0));
        }
        end(&program);
    }
}

static void a_decoder_of_the_programs_own_that_takes_anything_finds_the_block(void **state)
{
    struct program program;
    BIO *bio = open_memory(BAD_IDENTITY);
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *decoder;

    (void)state;
    start(&program, "default", "aliyun-iot");
    ERR_clear_error();
    decoder = OSSL_DECODER_CTX_new_for_pkey(
            &key, "PEM", NULL, NULL, 0 /* selection */, program.context, NULL);
    assert_false(OSSL_DECODER_from_bio(decoder, bio));
    assert_true(error_is_queued(ALIYUN_IOT_REASON_BAD_URI));
    OSSL_DECODER_CTX_free(decoder);
    BIO_free(bio);
    end(&program);
}

static void looking_ahead_has_an_end(void **state)
{
    enum { SIZE = 1024 * 1024 };
    char *text = malloc(SIZE);
    size_t size = 0;
    struct program program;

    (void)state;
    size = (size_t)snprintf(text, SIZE, "%s", CERTIFICATE "-----BEGIN CERTIFICATE-----\n");
    for (; size < SIZE - 1024; size += 65) {
        memset(text + size, 'A', 64);
        text[size + 64] = '\n';
    }
    snprintf(text + size, SIZE - size, "\n-----END CERTIFICATE-----\n" BAD_IDENTITY);
    start(&program, "default", "aliyun-iot");
    assert_false(finds_block(&program, open_memory, text, 101));
    assert_true(finds_block(&program, open_memory, text, 0)); /* libcrypto comes to it by itself */
    end(&program);
    free(text);
}

static void who_does_not_want_a_private_key_is_not_asked_for_a_block(void **state)
{
    /* A store of OpenSSL 4 looks for parameters in private keys too. */
    static const int expected[] = {
        OSSL_STORE_INFO_CERT,
        OSSL_STORE_INFO_CRL,
        OSSL_STORE_INFO_PUBKEY,
#if OPENSSL_VERSION_MAJOR < 4
        OSSL_STORE_INFO_PARAMS
#endif
    };
    static struct sight sight;
    struct program program;
    BIO *bio = open_memory(CERTIFICATE BAD_IDENTITY);

    (void)state;
    start(&program, "default", "aliyun-iot");
    ERR_clear_error();
    assert_null(PEM_read_bio_PUBKEY_ex(bio, NULL, NULL, NULL, program.context, NULL));
    assert_false(error_is_queued(ALIYUN_IOT_REASON_BAD_URI));
    for (size_t index = 0; index < sizeof(expected) / sizeof(expected[0]); index++) {
        memset(&sight, 0, sizeof(sight));
        look_through_store(&program, BAD_IDENTITY CERTIFICATE, expected[index], &sight);
        assert_null(strstr(sight.lines, "aliyun-iot"));
    }
    BIO_free(bio);
    end(&program);
}

/* Loads the module by an openssl.cnf whose section of the provider has one more line. */
static bool start_by_configuration(struct program *program, const char *line)
{
    char path[] = "/tmp/test_provider_init.XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");

    memset(program, 0, sizeof(*program));
    program->context = OSSL_LIB_CTX_new();
    assert_non_null(file);
    fprintf(file,
            "config_diagnostics = 1\nopenssl_conf = a\n[a]\nproviders = b\n[b]\ndefault = c\n"
            "aliyun-iot = d\n[c]\nactivate = 1\n[d]\nactivate = 1\n"
            "module = %s/aliyun-iot.so\n%s\n",
            getenv("PROVIDERS"), line);
    fclose(file);
    OSSL_LIB_CTX_load_config(program->context, path);
    unlink(path);
    return OSSL_PROVIDER_available(program->context, "aliyun-iot");
}

static void identity_files_can_be_switched_off(void **state)
{
    static const struct {
        const char *line;
        bool found;
    } cases[] = {{"", true}, {"identity-files = yes", true}, {"identity-files = no", false},
            {"identity-files = OFF", false}};
    struct program program;

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        assert_true(start_by_configuration(&program, cases[index].line));
        assert_int_equal(finds_block(&program, open_memory, BAD_IDENTITY, 0), cases[index].found);
        end(&program);
    }
}

static void assert_no_boolean(const char *key)
{
    const char *reason = aliyun_iot_reason_text(ALIYUN_IOT_REASON_BAD_SETTINGS);
    struct program program;
    BIO *bio = open_memory(BAD_IDENTITY);
    char line[100], phrase[100];

    snprintf(line, sizeof(line), "%s = maybe", key);
    snprintf(phrase, sizeof(phrase), "%s in the provider's section of openssl.cnf is \"maybe\"",
            key);
    assert_true(start_by_configuration(&program, line));
    ERR_clear_error();
    assert_null(PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, program.context, NULL));
    assert_raised(reason, phrase);
    assert_null(OSSL_STORE_open_ex(
            "aliyun-iot://p/d", program.context, NULL, NULL, NULL, NULL, NULL, NULL));
    if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_OSSL_STORE)
        ERR_get_error();
    assert_raised(reason, phrase);
    end(&program);
    BIO_free(bio);
}

static void a_value_that_is_no_boolean_is_an_error_at_every_use(void **state)
{
    (void)state;
    assert_no_boolean("identity-files");
    assert_no_boolean("opaque-keys");
    assert_no_boolean("fips");
}

static void a_uri_that_does_not_open_leaves_our_error_and_no_errno(void **state)
{
    struct program program;

    (void)state;
    start(&program, "default", "aliyun-iot");
    ERR_clear_error();
    errno = ENOENT;
    assert_null(OSSL_STORE_open_ex(
            "aliyun-iot://p", program.context, NULL, NULL, NULL, NULL, NULL, NULL));
    assert_int_equal(errno, 0);
    /* In OpenSSL 3.0, libcrypto's vain look for an engine's loader comes first. */
    if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_OSSL_STORE)
        ERR_get_error();
    assert_raised(aliyun_iot_reason_text(ALIYUN_IOT_REASON_BAD_URI), "aliyun-iot://p: ");
    end(&program);
}

static void the_module_may_be_loaded_again(void **state)
{
    (void)state;
    a_uri_that_does_not_open_leaves_our_error_and_no_errno(state);
    a_uri_that_does_not_open_leaves_our_error_and_no_errno(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(with_files_of_others_nothing_changes),
            cmocka_unit_test(a_broken_identity_file_is_an_error_that_says_what_is_wrong),
            cmocka_unit_test(a_block_is_found_in_any_place_whatever_the_error_queue_holds),
            cmocka_unit_test(a_decoder_of_the_programs_own_that_takes_anything_finds_the_block),
            cmocka_unit_test(looking_ahead_has_an_end),
            cmocka_unit_test(who_does_not_want_a_private_key_is_not_asked_for_a_block),
            cmocka_unit_test(identity_files_can_be_switched_off),
            cmocka_unit_test(a_value_that_is_no_boolean_is_an_error_at_every_use),
            cmocka_unit_test(a_uri_that_does_not_open_leaves_our_error_and_no_errno),
            cmocka_unit_test(the_module_may_be_loaded_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
