/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built provider module within OpenSSL, as far as it comes without a cloud. PROVIDERS names its
 * folder.
 */
#include "unit.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

enum { LINES_MAX = 32 * 1024 };

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

static void look_at_key(const struct program *program, const char *text, struct sight *sight)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key =
            PEM_read_bio_PrivateKey_ex(bio, NULL, give_passphrase, sight, program->context, NULL);

    note(sight, "key %s, then at %d\n", key ? EVP_PKEY_get0_type_name(key) : "none", BIO_tell(bio));
    note_errors(sight);
    EVP_PKEY_free(key);
    BIO_free(bio);
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

static void look(const char *first, const char *second, const char *text, struct sight *sight)
{
    static const int expected[] = {0, OSSL_STORE_INFO_PKEY, OSSL_STORE_INFO_CERT};
    struct program program;

    memset(sight, 0, sizeof(*sight));
    start(&program, first, second);
    ERR_clear_error();
    look_at_key(&program, text, sight);
    for (size_t index = 0; index < sizeof(expected) / sizeof(expected[0]); index++)
        look_through_store(&program, text, expected[index], sight);
    end(&program);
}

#define ED25519                                                                                    \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"                           \
    "-----END PRIVATE KEY-----\n"
#define IDENTITY(base64)                                                                           \
    "-----BEGIN ALIYUN-IOT IDENTITY-----\n" base64 "\n-----END ALIYUN-IOT IDENTITY-----\n"

static void with_files_of_others_nothing_changes(void **state)
{
    static const char *const texts[] = {
            ED25519,
            "text\n" ED25519 "text\n" ED25519,
            "nothing",
            "-----BEGIN X-----\nQUJD\n-----END X-----\n" ED25519,
            "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n" ED25519,
            /* Broken blocks, and where libcrypto goes on after them. */
            "-----BEGIN X-----\nQUJD\n-----END Y-----\n" ED25519,
            "-----BEGIN X-----\n\n\n" ED25519,
            "-----BEGIN X-----\n\nQUJD\nQUJD\n" ED25519,
            "-----BEGIN X-----\nQUJD\n" ED25519 ED25519,
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
            "00112233445566778899AABBCCDDEEFF\n\nQUJDREVGR0hJSktMTU5PUA==\n"
            "-----END RSA PRIVATE KEY-----\n" ED25519,
    };
    static struct sight without, with;

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        look("default", NULL, texts[index], &without);
        look("default", "aliyun-iot", texts[index], &with);
        assert_string_equal(with.lines, without.lines);
        look("aliyun-iot", "default", texts[index], &with);
        assert_string_equal(with.lines, without.lines);
    }
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
            cmocka_unit_test(a_uri_that_does_not_open_leaves_our_error_and_no_errno),
            cmocka_unit_test(the_module_may_be_loaded_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
