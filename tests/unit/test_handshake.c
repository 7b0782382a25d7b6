/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS client signs: transcripts that libssl made, and the same with one thing wrong. */
#include "unit.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "agent/handshake/handshake.h"
#include "agent/handshake/key_exchange.h"
#include "base/identity.h"

enum { MESSAGES_MAX = 16, MESSAGE_MAX = 8192, HEADER = 4 };

enum {
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    CERTIFICATE = 11,
    SERVER_KEY_EXCHANGE = 12,
    CERTIFICATE_REQUEST = 13,
    SERVER_HELLO_DONE = 14,
    CERTIFICATE_VERIFY = 15,
    CLIENT_KEY_EXCHANGE = 16,
    CERTIFICATE_STATUS = 22
};

struct message {
    unsigned char bytes[MESSAGE_MAX];
    size_t size;
};

/* The messages of a handshake, up to the client's CertificateVerify. */
struct messages {
    struct message list[MESSAGES_MAX];
    size_t count;
    bool is_over;
};

static EVP_PKEY *device_key, *server_key;
static X509 *device_certificate, *intermediate, *other_certificate;
static struct aliyun_iot_identity *identity;
static struct messages *usual;

static X509 *certificate_with(EVP_PKEY *key, const char *alternative_names)
{
    X509 *certificate = pair_certificate(key, -60, 86400);
    X509_EXTENSION *extension;

    if (alternative_names) {
        extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative_names);
        assert_non_null(extension);
        assert_int_equal(1, X509_add_ext(certificate, extension, -1));
        X509_EXTENSION_free(extension);
        pair_sign(certificate, key);
    }
    return certificate;
}

static void collect(int is_sent, int version, int type, const void *bytes, size_t size, SSL *ssl,
        void *argument)
{
    struct messages *messages = argument;
    struct message *message = &messages->list[messages->count];

    (void)is_sent;
    (void)version;
    (void)ssl;
    if (type != SSL3_RT_HANDSHAKE || messages->is_over)
        return;
    messages->is_over = *(const unsigned char *)bytes == CERTIFICATE_VERIFY;
    if (messages->is_over)
        return;
    assert_true(messages->count < MESSAGES_MAX && size <= MESSAGE_MAX);
    memcpy(message->bytes, bytes, size);
    message->size = size;
    messages->count++;
}

static int accept_any(int verified, X509_STORE_CTX *store)
{
    (void)verified;
    (void)store;
    return 1;
}

/* What may differ between handshakes; zeros are the usual. */
struct way {
    const char *suites;       /* ECDHE-RSA-AES128-GCM-SHA256 */
    const char *sni;          /* none */
    X509 *server_certificate; /* that of broker.example */
    X509 *client_certificate; /* the device's */
    X509 *client_intermediate;
    bool renegotiates; /* it is the second handshake of a connection */
};

/* The server asks for another handshake; the messages become its. */
static void shake_hands_again(SSL *client, SSL *server, struct messages *messages)
{
    char nothing[1];

    assert_int_equal(1, SSL_renegotiate(server));
    messages->count = 0;
    messages->is_over = false;
    for (int turn = 0; turn < 8; turn++) {
        SSL_do_handshake(server);
        SSL_read(server, nothing, sizeof(nothing));
        SSL_read(client, nothing, sizeof(nothing));
    }
    assert_true(messages->is_over);
    /* The request for it is no part of the transcript (RFC 5246, section 7.4.1.1). */
    assert_int_equal(0, messages->list[0].bytes[0]);
    for (size_t index = 1; index < messages->count; index++)
        messages->list[index - 1] = messages->list[index];
    messages->count--;
}

static struct messages *shake_hands(struct way way)
{
    struct messages *messages = calloc(1, sizeof(*messages));
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX *server_ctx = SSL_CTX_new(TLS_server_method());
    X509 *usual_certificate = certificate_with(server_key, "DNS:broker.example");
    X509 *server_certificate = way.server_certificate ? way.server_certificate : usual_certificate;
    BIO *client_bio, *server_bio;
    SSL *client, *server;
    char *sni = way.sni ? strdup(way.sni) : NULL;

    assert_non_null(messages);
    SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
    assert_int_equal(1, SSL_CTX_set_cipher_list(client_ctx,
                                way.suites ? way.suites : "ECDHE-RSA-AES128-GCM-SHA256"));
    SSL_CTX_set_msg_callback(client_ctx, collect);
    SSL_CTX_set_msg_callback_arg(client_ctx, messages);
    SSL_CTX_use_certificate(
            client_ctx, way.client_certificate ? way.client_certificate : device_certificate);
    SSL_CTX_use_PrivateKey(client_ctx, device_key);
    if (way.client_intermediate)
        SSL_CTX_add1_chain_cert(client_ctx, way.client_intermediate);
    else
        SSL_CTX_set_mode(client_ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_use_certificate(server_ctx, server_certificate);
    SSL_CTX_use_PrivateKey(server_ctx, server_key);
    SSL_CTX_set_cipher_list(server_ctx, "ALL");
    SSL_CTX_set_dh_auto(server_ctx, 1);
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_options(server_ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(server_ctx, SSL_SESS_CACHE_OFF);
    client = SSL_new(client_ctx);
    server = SSL_new(server_ctx);
    if (way.sni)
        assert_int_equal(
                1, SSL_ctrl(client, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni));
    assert_int_equal(1, BIO_new_bio_pair(&client_bio, 1 << 16, &server_bio, 1 << 16));
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int turn = 0; turn < 4; turn++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
    if (way.renegotiates)
        shake_hands_again(client, server, messages);
    free(sni);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    X509_free(usual_certificate);
    return messages;
}

static struct messages *copy_of(const struct messages *messages)
{
    struct messages *copy = malloc(sizeof(*copy));

    assert_non_null(copy);
    *copy = *messages;
    return copy;
}

static size_t place_of(const struct messages *messages, int type)
{
    for (size_t index = 0; index < messages->count; index++)
        if (messages->list[index].bytes[0] == type)
            return index;
    fail();
    return 0;
}

static struct message *find(struct messages *messages, int type)
{
    return &messages->list[place_of(messages, type)];
}

/* In a block of its exact size, so that a read past its end is seen. */
static void read_bytes(const unsigned char *bytes, size_t size, enum key_scheme scheme,
        struct handshake *handshake)
{
    unsigned char *exact = malloc(size ? size : 1);

    assert_non_null(exact);
    memcpy(exact, bytes, size);
    handshake_read(exact, size, scheme, identity, handshake);
    free(exact);
    if (handshake->problem)
        assert_null(handshake->transcript.names);
}

static void read_messages(const struct messages *messages, struct handshake *handshake)
{
    unsigned char *all = malloc(MESSAGES_MAX * MESSAGE_MAX);
    size_t size = 0;

    assert_non_null(all);
    for (size_t index = 0; index < messages->count; index++) {
        memcpy(all + size, messages->list[index].bytes, messages->list[index].size);
        size += messages->list[index].size;
    }
    read_bytes(all, size, KEY_SCHEME_RSA_PKCS1_SHA256, handshake);
    free(all);
}

/* Frees the messages. problem: a part of the words; NULL: it is read. */
static void assert_read(struct messages *messages, const char *problem)
{
    struct handshake handshake;

    read_messages(messages, &handshake);
    free(messages);
    if (!problem) {
        assert_null(handshake.problem);
    } else {
        assert_non_null(handshake.problem);
        if (!strstr(handshake.problem, problem))
            assert_string_equal(problem, handshake.problem);
    }
    handshake_release(&handshake);
}

static void write_length(struct message *message)
{
    size_t length = message->size - HEADER;

    message->bytes[1] = (unsigned char)(length >> 16);
    message->bytes[2] = (unsigned char)(length >> 8);
    message->bytes[3] = (unsigned char)length;
}

static void append(struct message *message, const void *bytes, size_t size)
{
    memcpy(message->bytes + message->size, bytes, size);
    message->size += size;
    write_length(message);
}

/* libssl's hellos end with their extensions; offset: of the extensions' length. */
static void append_extension(
        struct message *hello, size_t offset, int type, const void *content, size_t size)
{
    unsigned char header[] = {0, (unsigned char)type, 0, (unsigned char)size};
    size_t length;

    append(hello, header, sizeof(header));
    append(hello, content, size);
    length = hello->size - offset - 2;
    hello->bytes[offset] = (unsigned char)(length >> 8);
    hello->bytes[offset + 1] = (unsigned char)length;
}

static size_t extensions_of_server_hello(const struct message *hello)
{
    size_t session = HEADER + 2 + 32;

    return session + 1 + hello->bytes[session] + 3;
}

static size_t extensions_of_client_hello(const struct message *hello)
{
    size_t at = HEADER + 2 + 32;

    at += 1u + hello->bytes[at];
    at += 2u + (size_t)(hello->bytes[at] << 8 | hello->bytes[at + 1]);
    return at + 1 + hello->bytes[at];
}

/* No memmove() here: where it is the same code as memcpy(), valgrind cannot tell the two apart. */
static void insert(struct messages *messages, size_t place, int type, const char *content)
{
    struct message *message = &messages->list[place];

    for (size_t index = messages->count; index > place; index--)
        messages->list[index] = messages->list[index - 1];
    messages->count++;
    message->bytes[0] = (unsigned char)type;
    message->size = HEADER;
    append(message, content, strlen(content));
}

static void drop(struct messages *messages, size_t place)
{
    messages->count--;
    for (size_t index = place; index < messages->count; index++)
        messages->list[index] = messages->list[index + 1];
}

static void what_libssl_signs_is_read(void **state)
{
    static const char *const suites[] = {"ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256",
            "AES128-SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "AES256-GCM-SHA384"};

    (void)state;
    for (size_t index = 0; index < sizeof(suites) / sizeof(suites[0]); index++)
        assert_read(shake_hands((struct way){.suites = suites[index]}), NULL);
    assert_read(shake_hands((struct way){.client_intermediate = intermediate}), NULL);
}

static void a_renegotiation_is_read_like_a_first_handshake(void **state)
{
    struct messages *again = shake_hands((struct way){.renegotiates = true});

    (void)state;
    assert_read(copy_of(again), NULL);
    /* The server's request for it is not signed. */
    insert(again, 0, 0, "");
    assert_read(again, "");
}

static void the_server_is_known_by_its_names(void **state)
{
    X509 *certificate = certificate_with(server_key,
            "DNS:Broker.Example.,DNS:*.pool.example,IP:192.0.2.1,IP:2001:db8::1,email:a@b.example,"
            "DNS:a..b,DNS:x*.example,DNS:192.0.2.1,DNS:*");
    struct messages *messages =
            shake_hands((struct way){.sni = "BROKER.example", .server_certificate = certificate});
    struct address four, six;
    struct handshake handshake;
    const struct server_names *names;

    (void)state;
    read_messages(messages, &handshake);
    assert_null(handshake.problem);
    assert_false(handshake.is_tls_1_3);
    assert_true(handshake.transcript.has_sni);
    assert_string_equal("broker.example", handshake.transcript.sni);
    names = handshake.transcript.names;
    assert_int_equal(8, names->count);
    assert_int_equal(SERVER_NAME_DNS, names->names[0].kind);
    assert_int_equal(SERVER_NAME_DNS, names->names[1].kind);
    assert_string_equal("broker.example", names->names[0].dns);
    assert_string_equal("*.pool.example", names->names[1].dns);
    assert_true(address_read("192.0.2.1", &four) && address_read("2001:DB8:0::1", &six));
    assert_int_equal(SERVER_NAME_ADDRESS, names->names[2].kind);
    assert_true(address_equal(&four, &names->names[2].address));
    assert_true(address_equal(&six, &names->names[3].address));
    assert_false(address_equal(&four, &names->names[3].address));
    for (size_t index = 4; index < names->count; index++)
        assert_int_equal(SERVER_NAME_ODD, names->names[index].kind);
    handshake_release(&handshake);
    free(messages);
    X509_free(certificate);
}

static void a_name_with_nul_is_odd(void **state)
{
    X509 *certificate = certificate_with(server_key, "DNS:good.exampleXevil");
    struct messages *messages = shake_hands((struct way){.server_certificate = certificate});
    struct message *message = find(messages, CERTIFICATE);
    struct handshake handshake;
    unsigned char *place = memmem(message->bytes, message->size, "exampleX", 8);

    (void)state;
    assert_non_null(place);
    place[7] = '\0';
    read_messages(messages, &handshake);
    assert_null(handshake.problem);
    assert_int_equal(SERVER_NAME_ODD, handshake.transcript.names->names[0].kind);
    handshake_release(&handshake);
    free(messages);
    X509_free(certificate);
}

static void a_certificate_without_alternative_names_names_nobody(void **state)
{
    X509 *certificate = certificate_with(server_key, NULL);
    struct messages *messages = shake_hands((struct way){.server_certificate = certificate});
    struct handshake handshake;

    (void)state;
    read_messages(messages, &handshake);
    assert_null(handshake.problem);
    assert_int_equal(0, handshake.transcript.names->count);
    assert_false(handshake.transcript.has_sni);
    handshake_release(&handshake);
    free(messages);
    X509_free(certificate);
}

static void two_lists_of_alternative_names_are_refused(void **state)
{
    X509 *certificate = certificate_with(server_key, "DNS:one.example");
    X509_EXTENSION *second =
            X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:two.example");

    (void)state;
    X509_add_ext(certificate, second, -1);
    pair_sign(certificate, server_key);
    assert_read(shake_hands((struct way){.server_certificate = certificate}), "subjectAltName");
    X509_EXTENSION_free(second);
    X509_free(certificate);
}

static void messages_in_another_order_or_number_are_refused(void **state)
{
    (void)state;
    for (size_t index = 0; index < usual->count; index++) {
        struct messages *without = copy_of(usual), *twice = copy_of(usual);
        struct messages *swapped = copy_of(usual);

        drop(without, index);
        assert_read(without, "");
        memcpy(&twice->list[index + 1], &usual->list[index],
                (usual->count - index) * sizeof(usual->list[0]));
        twice->count++;
        assert_read(twice, "");
        if (index + 1 == usual->count) {
            free(swapped);
            continue;
        }
        swapped->list[index] = usual->list[index + 1];
        swapped->list[index + 1] = usual->list[index];
        assert_read(swapped, "");
    }
}

static void foreign_messages_are_refused_anywhere(void **state)
{
    /* HelloRequest, NewSessionTicket, Finished, and one that does not exist. */
    static const int types[] = {0, 4, 20, 99};

    (void)state;
    for (size_t type = 0; type < sizeof(types) / sizeof(types[0]); type++)
        for (size_t place = 0; place <= usual->count; place++) {
            struct messages *messages = copy_of(usual);

            insert(messages, place, types[type], "content");
            assert_read(messages, "");
        }
}

static void the_status_of_the_servers_certificate_may_follow_it(void **state)
{
    struct messages *messages = copy_of(usual);

    (void)state;
    insert(messages, 3, CERTIFICATE_STATUS, "status");
    assert_read(messages, NULL);
    messages = copy_of(usual);
    insert(messages, 4, CERTIFICATE_STATUS, "status");
    assert_read(messages, "");
    messages = copy_of(usual);
    insert(messages, 3, CERTIFICATE_STATUS, "status");
    insert(messages, 3, CERTIFICATE_STATUS, "status");
    assert_read(messages, "");
}

static void a_transcript_that_is_cut_or_continued_is_refused(void **state)
{
    unsigned char all[MESSAGES_MAX * 2048];
    size_t size = 0;
    struct handshake handshake;

    (void)state;
    for (size_t index = 0; index < usual->count; index++) {
        memcpy(all + size, usual->list[index].bytes, usual->list[index].size);
        size += usual->list[index].size;
    }
    all[size] = 0;
    for (size_t cut = 0; cut <= size + 1; cut++) {
        read_bytes(all, cut, KEY_SCHEME_RSA_PKCS1_SHA256, &handshake);
        assert_int_equal(cut != size, handshake.problem != NULL);
        handshake_release(&handshake);
    }
}

static void a_message_with_a_byte_more_is_refused(void **state)
{
    (void)state;
    for (size_t index = 0; index < usual->count; index++) {
        struct messages *messages = copy_of(usual);
        int type = messages->list[index].bytes[0];

        append(&messages->list[index], "", 1);
        /* The content of these is the server's and the client's own. */
        assert_read(
                messages, type == SERVER_KEY_EXCHANGE || type == CLIENT_KEY_EXCHANGE ? NULL : "");
    }
}

static void empty_messages_are_refused(void **state)
{
    (void)state;
    for (size_t index = 0; index < usual->count; index++) {
        struct messages *messages = copy_of(usual);
        int type = messages->list[index].bytes[0];

        messages->list[index].size = HEADER;
        write_length(&messages->list[index]);
        assert_read(messages, type == SERVER_HELLO_DONE ? NULL : "");
    }
}

static void hellos_of_other_versions_are_refused(void **state)
{
    static const int types[] = {CLIENT_HELLO, SERVER_HELLO};

    (void)state;
    for (size_t type = 0; type < 2; type++)
        for (int version = 0; version < 6; version++) {
            struct messages *messages = copy_of(usual);

            find(messages, types[type])->bytes[HEADER + 1] = (unsigned char)version;
            assert_read(messages, version == 3 ? NULL : "not one of TLS 1.2");
            messages = copy_of(usual);
            find(messages, types[type])->bytes[HEADER] = (unsigned char)(0xfb + version);
            assert_read(messages, "not one of TLS 1.2");
        }
}

static void extensions_of_the_server_that_change_the_handshake_are_refused(void **state)
{
    static const struct {
        int type;
        const char *content;
        size_t size;
        const char *problem;
    } cases[] = {
            {43, "\3\4", 2, "another version"},
            {43, "\3\3", 2, "another version"},
            {19, "\2", 1, "raw public key"},
            {20, "\2", 1, "raw public key"},
            {20, "", 0, "raw public key"},
            {20, "\0\0", 2, "raw public key"},
            {19, "\0", 1, NULL},
            {20, "\0", 1, NULL},
            {99, "\2", 1, NULL},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct messages *messages = copy_of(usual);
        struct message *hello = find(messages, SERVER_HELLO);

        append_extension(hello, extensions_of_server_hello(hello), cases[index].type,
                cases[index].content, cases[index].size);
        assert_read(messages, cases[index].problem);
    }
}

static void what_the_client_offers_and_the_server_does_not_take_is_fine(void **state)
{
    struct messages *messages = copy_of(usual);
    struct message *hello = find(messages, CLIENT_HELLO);

    (void)state;
    append_extension(hello, extensions_of_client_hello(hello), 43, "\4\3\4\3\3", 5);
    append_extension(hello, extensions_of_client_hello(hello), 19, "\1\2", 2);
    append_extension(hello, extensions_of_client_hello(hello), 20, "\1\2", 2);
    assert_read(messages, NULL);
}

static void hellos_without_extensions_are_read(void **state)
{
    struct messages *messages = copy_of(usual);
    struct message *hello = find(messages, CLIENT_HELLO);

    (void)state;
    hello->size = extensions_of_client_hello(hello);
    write_length(hello);
    hello = find(messages, SERVER_HELLO);
    hello->size = extensions_of_server_hello(hello);
    write_length(hello);
    assert_read(messages, NULL);
}

static void set_suite(struct messages *messages, int suite)
{
    struct message *hello = find(messages, SERVER_HELLO);
    unsigned char *place = hello->bytes + extensions_of_server_hello(hello) - 3;

    place[0] = (unsigned char)(suite >> 8);
    place[1] = (unsigned char)suite;
}

static void suites_decide_whether_the_server_sends_a_key(void **state)
{
    struct messages *messages = copy_of(usual);

    (void)state;
    set_suite(messages, 0x009c); /* RSA */
    assert_read(messages, "ServerKeyExchange");
    messages = copy_of(usual);
    set_suite(messages, 0x009e); /* DHE */
    assert_read(messages, NULL);
    messages = copy_of(usual);
    set_suite(messages, 0x009e);
    drop(messages, place_of(messages, SERVER_KEY_EXCHANGE));
    assert_read(messages, "ServerKeyExchange");
    /* Of TLS 1.3, with a shared key, anonymous. */
    for (size_t index = 0; index < 3; index++) {
        static const int others[] = {0x1301, 0x00a8, 0xc018};

        messages = copy_of(usual);
        set_suite(messages, others[index]);
        assert_read(messages, "none of RSA");
        messages = copy_of(usual);
        set_suite(messages, others[index]);
        drop(messages, place_of(messages, SERVER_KEY_EXCHANGE));
        assert_read(messages, "none of RSA");
    }
}

static void the_suites_are_those_of_libssl(void **state)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());
    STACK_OF(SSL_CIPHER) *suites;
    int count = 0;

    (void)state;
    SSL_CTX_set_security_level(ssl_ctx, 0);
    assert_int_equal(1, SSL_CTX_set_cipher_list(ssl_ctx, "ALL:COMPLEMENTOFALL"));
    suites = SSL_CTX_get_ciphers(ssl_ctx);
    for (int index = 0; index < sk_SSL_CIPHER_num(suites); index++) {
        const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, index);
        int method = SSL_CIPHER_get_kx_nid(suite);
        int authentication = SSL_CIPHER_get_auth_nid(suite);
        bool has_certificate = authentication == NID_auth_rsa || authentication == NID_auth_ecdsa ||
                               authentication == NID_auth_dss;
        enum key_exchange expected = KEY_EXCHANGE_OTHER;

        if (has_certificate && method == NID_kx_rsa)
            expected = KEY_EXCHANGE_RSA;
        else if (has_certificate && (method == NID_kx_dhe || method == NID_kx_ecdhe))
            expected = KEY_EXCHANGE_EPHEMERAL;
        assert_int_equal(expected, key_exchange_of(SSL_CIPHER_get_protocol_id(suite)));
        count += expected != KEY_EXCHANGE_OTHER;
    }
    assert_true(count > 40);
    SSL_CTX_free(ssl_ctx);
}

static void set_body(struct message *message, const void *bytes, size_t size)
{
    message->size = HEADER;
    append(message, bytes, size);
}

/* The parts of a ClientHello without extensions, with 32 random bytes before them. */
static void the_parts_of_a_client_hello_have_their_sizes(void **state)
{
    static const struct {
        size_t session_size;
        const char *rest;
        size_t size;
        bool is_good;
    } cases[] = {
            {0, "\0\2\0\x9c\1\0", 6, true}, {32, "\0\2\0\x9c\1\0", 6, true},
            {33, "\0\2\0\x9c\1\0", 6, false}, {0, "\0\0\1\0", 4, false}, /* no suite */
            {0, "\0\3\0\x9c\0\1\0", 7, false},                           /* half a suite */
            {0, "\0\2\0\x9c\0", 5, false},                               /* no compression */
            {0, "\0\2\0\x9c\1\0\0\0", 8, true},    /* extensions, and none of them */
            {0, "\0\2\0\x9c\1\0\0", 7, false},     /* half a length */
            {0, "\0\2\0\x9c\1\0\0\1\0", 9, false}, /* less than an extension */
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct messages *messages = copy_of(usual);
        unsigned char body[128] = {3, 3};
        size_t size = 2 + 32;

        body[size++] = (unsigned char)cases[index].session_size;
        size += cases[index].session_size;
        memcpy(body + size, cases[index].rest, cases[index].size);
        set_body(find(messages, CLIENT_HELLO), body, size + cases[index].size);
        assert_read(messages, cases[index].is_good ? NULL : "the ClientHello is malformed");
    }
}

static void the_parts_of_a_certificate_request_have_their_sizes(void **state)
{
    static const struct {
        const char *body;
        size_t size;
        bool is_good;
    } cases[] = {
            {"\1\1\0\2\4\1\0\0", 8, true}, {"\0\0\2\4\1\0\0", 7, false}, /* no type */
            {"\1\1\0\0\0\0", 6, false},                                  /* no scheme */
            {"\1\1\0\3\4\1\4\0\0", 9, false},                            /* half a scheme */
            {"\1\1\0\2\4\1\0\0\0", 9, false},                            /* a byte more */
            {"\1\1\0\2\4\1\0\1", 8, false},                              /* a byte less */
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct messages *messages = copy_of(usual);

        set_body(find(messages, CERTIFICATE_REQUEST), cases[index].body, cases[index].size);
        assert_read(messages, cases[index].is_good ? NULL : "CertificateRequest");
    }
}

/* A list with this certificate alone, and some bytes after it within its entry. */
static void set_certificate(struct message *message, X509 *certificate, size_t more)
{
    unsigned char body[4096] = {0}, *at = body + 6;
    size_t size = (size_t)i2d_X509(certificate, &at) + more;

    body[1] = (unsigned char)((size + 3) >> 8);
    body[2] = (unsigned char)(size + 3);
    body[4] = (unsigned char)(size >> 8);
    body[5] = (unsigned char)size;
    set_body(message, body, size + 6);
}

static void nothing_follows_a_certificate_in_its_entry(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct messages *messages = copy_of(usual);

        set_certificate(find(messages, CERTIFICATE), other_certificate, more);
        assert_read(messages, more ? "cannot be decoded" : NULL);
        messages = copy_of(usual);
        set_certificate(&messages->list[place_of(messages, SERVER_HELLO_DONE) + 1],
                device_certificate, more);
        assert_read(messages, more ? "not that of this device" : NULL);
    }
}

static void an_address_of_an_odd_length_is_odd(void **state)
{
    X509 *certificate = pair_certificate(server_key, -60, 86400);
    GENERAL_NAMES *entries = GENERAL_NAMES_new();
    GENERAL_NAME *entry = GENERAL_NAME_new();
    struct messages *messages;
    struct handshake handshake;

    (void)state;
    entry->type = GEN_IPADD;
    entry->d.iPAddress = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(entry->d.iPAddress, (const unsigned char *)"12345", 5);
    sk_GENERAL_NAME_push(entries, entry);
    assert_int_equal(1, X509_add1_ext_i2d(certificate, NID_subject_alt_name, entries, 0, 0));
    pair_sign(certificate, server_key);
    messages = shake_hands((struct way){.server_certificate = certificate});
    read_messages(messages, &handshake);
    assert_null(handshake.problem);
    assert_int_equal(1, handshake.transcript.names->count);
    assert_int_equal(SERVER_NAME_ODD, handshake.transcript.names->names[0].kind);
    handshake_release(&handshake);
    GENERAL_NAMES_free(entries);
    X509_free(certificate);
    free(messages);
}

static void a_name_has_at_most_253_characters(void **state)
{
    char text[256], name[DNS_NAME_SIZE];

    (void)state;
    for (size_t index = 0; index < sizeof(text); index++)
        text[index] = index % 50 == 49 ? '.' : 'a';
    for (size_t size = 251; size < sizeof(text); size++)
        assert_int_equal(
                size <= 253, dns_name_read((struct bytes){(const unsigned char *)text, size}, false,
                                     false, name));
}

static void the_client_has_exactly_the_devices_certificates(void **state)
{
    struct messages *messages;
    struct message *message;

    (void)state;
    assert_read(shake_hands((struct way){.client_certificate = other_certificate}),
            "not that of this device");
    assert_read(shake_hands((struct way){.client_intermediate = other_certificate}),
            "not that of this device");
    /* The list is there, with the leaf twice, or empty. */
    messages = copy_of(usual);
    message = &messages->list[place_of(messages, SERVER_HELLO_DONE) + 1];
    memcpy(message->bytes + message->size, message->bytes + HEADER + 3, message->size - HEADER - 3);
    message->size += message->size - HEADER - 3;
    message->bytes[HEADER + 1] = (unsigned char)((message->size - HEADER - 3) >> 8);
    message->bytes[HEADER + 2] = (unsigned char)(message->size - HEADER - 3);
    write_length(message);
    assert_read(messages, "not that of this device");
    messages = copy_of(usual);
    message = &messages->list[place_of(messages, SERVER_HELLO_DONE) + 1];
    message->size = HEADER;
    append(message, "\0\0\0", 3);
    assert_read(messages, "not that of this device");
}

static void a_server_without_a_certificate_is_refused(void **state)
{
    struct messages *messages = copy_of(usual);
    struct message *message = find(messages, CERTIFICATE);

    (void)state;
    message->size = HEADER;
    append(message, "\0\0\0", 3);
    assert_read(messages, "the server's Certificate");
    messages = copy_of(usual);
    message = find(messages, CERTIFICATE);
    message->size = HEADER;
    append(message, "\0\0\5\0\0\2\60\0", 8);
    assert_read(messages, "cannot be decoded");
}

static void a_server_may_have_a_chain(void **state)
{
    struct messages *messages = copy_of(usual);
    struct message *message = find(messages, CERTIFICATE);
    size_t size;

    (void)state;
    append(message, "\0\0\2\60\0", 5);
    size = message->size - HEADER - 3;
    message->bytes[HEADER + 1] = (unsigned char)(size >> 8);
    message->bytes[HEADER + 2] = (unsigned char)size;
    assert_read(messages, NULL);
    messages = copy_of(usual);
    message = find(messages, CERTIFICATE);
    append(message, "\0\0\3\60\0", 5);
    message->bytes[HEADER + 1] = (unsigned char)(size >> 8);
    message->bytes[HEADER + 2] = (unsigned char)size;
    assert_read(messages, "the server's Certificate");
}

static void a_malformed_name_of_the_server_is_refused(void **state)
{
    static const char *const bad[] = {"a..b", ".", "a.b.", "192.0.2.1", "2001:db8::1", "a b",
            "*.example", "a/b", "\xc3\xbc.example",
            "a123456789a123456789a123456789a123456789a123456789a123456789abcd.example"};
    static const char *const good[] = {"localhost", "a-b_c.example", "1.example",
            "a123456789a123456789a123456789a123456789a123456789a123456789abc.example"};

    (void)state;
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
        assert_read(shake_hands((struct way){.sni = bad[index]}), "name of the server");
    for (size_t index = 0; index < sizeof(good) / sizeof(good[0]); index++)
        assert_read(shake_hands((struct way){.sni = good[index]}), NULL);
}

static void an_extension_with_another_name_is_refused(void **state)
{
    static const struct {
        const char *content;
        size_t size;
        bool is_good;
    } cases[] = {
            {"\0\4\0\0\1a", 6, true},
            {"\0\4\0\0\1\0", 6, false},         /* a NUL */
            {"\0\4\1\0\1a", 6, false},          /* another type than host_name */
            {"\0\10\0\0\1a\0\0\1b", 10, false}, /* two names */
            {"\0\4\0\0\1a\0", 7, false},        /* a byte more */
            {"\0\5\0\0\1a\0", 7, false},        /* a byte more in the list */
            {"\0\3\0\0\0", 5, false},           /* an empty name */
            {"", 0, false},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct messages *messages = copy_of(usual);
        struct message *hello = find(messages, CLIENT_HELLO);

        append_extension(hello, extensions_of_client_hello(hello), 0, cases[index].content,
                cases[index].size);
        assert_read(messages, cases[index].is_good ? NULL : "name of the server");
        messages = copy_of(usual);
        hello = find(messages, CLIENT_HELLO);
        for (int count = 0; count < 2; count++)
            append_extension(hello, extensions_of_client_hello(hello), 0, cases[index].content,
                    cases[index].size);
        assert_read(messages, "name of the server");
    }
}

static void other_framings_are_refused(void **state)
{
    static const char sslv2[] = "\x80\x2e\1\3\3\0\25\0\0\0\20";
    struct messages *messages = copy_of(usual);
    struct handshake handshake;

    (void)state;
    read_bytes(
            (const unsigned char *)sslv2, sizeof(sslv2) - 1, KEY_SCHEME_RSA_PSS_SHA256, &handshake);
    assert_non_null(handshake.problem);
    /* DTLS has a sequence number and the place of a fragment in each header. */
    for (size_t index = 0; index < messages->count; index++) {
        struct message *message = &messages->list[index];

        message->size += 8;
        for (size_t at = message->size - 1; at >= HEADER + 8; at--)
            message->bytes[at] = message->bytes[at - 8];
        memset(message->bytes + HEADER, 0, 8);
    }
    assert_read(messages, "");
}

/* 64 blanks, the context with its NUL, and so many bytes. */
static size_t write_tls_1_3(unsigned char text[256], size_t hash_size)
{
    static const char context[] = "TLS 1.3, client CertificateVerify";

    memset(text, ' ', 64);
    memcpy(text + 64, context, sizeof(context));
    memset(text + 64 + sizeof(context), 0xaa, hash_size);
    return 64 + sizeof(context) + hash_size;
}

static void the_form_of_tls_1_3_is_exact(void **state)
{
    unsigned char text[256];
    struct handshake handshake;

    (void)state;
    for (size_t hash = 0; hash < 80; hash++) {
        size_t size = write_tls_1_3(text, hash);

        read_bytes(text, size, KEY_SCHEME_RSA_PSS_SHA256, &handshake);
        assert_true(handshake.is_tls_1_3);
        assert_int_equal(hash == 32 || hash == 48, handshake.problem == NULL);
    }
    for (size_t place = 0; place < 64 + 34; place++) {
        size_t size = write_tls_1_3(text, 32);

        text[place] ^= 1;
        read_bytes(text, size, KEY_SCHEME_RSA_PSS_SHA256, &handshake);
        assert_non_null(handshake.problem);
        assert_false(handshake.is_tls_1_3);
    }
    for (enum key_scheme scheme = 0; scheme <= KEY_SCHEME_ED448; scheme++) {
        bool is_old = scheme <= KEY_SCHEME_RSA_PKCS1_SHA512;

        read_bytes(text, write_tls_1_3(text, 48), scheme, &handshake);
        assert_int_equal(is_old, handshake.problem != NULL);
    }
    /* What a server signs. */
    write_tls_1_3(text, 32);
    memcpy(text + 64, "TLS 1.3, server", 15);
    read_bytes(text, 64 + 34 + 32, KEY_SCHEME_RSA_PSS_SHA256, &handshake);
    assert_non_null(handshake.problem);
}

static void patterns_cover_whole_labels(void **state)
{
    static const struct {
        const char *name, *pattern;
        bool is_covered, overlaps;
    } cases[] = {
            {"a.example", "a.example", true, true},
            {"a.example", "b.example", false, false},
            {"a.example", "*.example", true, true},
            {"example", "*.example", false, false},
            {"b.a.example", "*.example", false, false},
            {"evil-a.example", "a.example", false, false},
            {"a.example.evil", "a.example", false, false},
            {"*.example", "*.example", true, true},
            {"*.example", "a.example", false, true},
            {"*.example", "*.a.example", false, false},
            {"*.a.example", "*.example", false, false},
            {"aexample", "*.example", false, false},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        assert_int_equal(cases[index].is_covered,
                dns_name_is_covered(cases[index].name, cases[index].pattern));
        assert_int_equal(
                cases[index].overlaps, dns_name_overlaps(cases[index].name, cases[index].pattern));
    }
}

static int make_all(void **state)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    (void)state;
    device_key = pair_key("RSA");
    server_key = pair_key("RSA");
    device_certificate = pair_certificate(device_key, -60, 86400);
    intermediate = pair_certificate(server_key, -60, 86400);
    other_certificate = pair_certificate(device_key, -120, 86400);
    sk_X509_push(chain, device_certificate);
    sk_X509_push(chain, intermediate);
    identity = identity_new(chain, device_key, NULL, NULL, NULL);
    sk_X509_free(chain);
    usual = shake_hands((struct way){.suites = NULL});
    return identity ? 0 : -1;
}

static int free_all(void **state)
{
    (void)state;
    free(usual);
    aliyun_iot_identity_free(identity);
    X509_free(device_certificate);
    X509_free(intermediate);
    X509_free(other_certificate);
    EVP_PKEY_free(device_key);
    EVP_PKEY_free(server_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_libssl_signs_is_read),
            cmocka_unit_test(a_renegotiation_is_read_like_a_first_handshake),
            cmocka_unit_test(the_server_is_known_by_its_names),
            cmocka_unit_test(a_name_with_nul_is_odd),
            cmocka_unit_test(a_certificate_without_alternative_names_names_nobody),
            cmocka_unit_test(two_lists_of_alternative_names_are_refused),
            cmocka_unit_test(messages_in_another_order_or_number_are_refused),
            cmocka_unit_test(foreign_messages_are_refused_anywhere),
            cmocka_unit_test(the_status_of_the_servers_certificate_may_follow_it),
            cmocka_unit_test(a_transcript_that_is_cut_or_continued_is_refused),
            cmocka_unit_test(a_message_with_a_byte_more_is_refused),
            cmocka_unit_test(empty_messages_are_refused),
            cmocka_unit_test(hellos_of_other_versions_are_refused),
            cmocka_unit_test(extensions_of_the_server_that_change_the_handshake_are_refused),
            cmocka_unit_test(what_the_client_offers_and_the_server_does_not_take_is_fine),
            cmocka_unit_test(hellos_without_extensions_are_read),
            cmocka_unit_test(suites_decide_whether_the_server_sends_a_key),
            cmocka_unit_test(the_suites_are_those_of_libssl),
            cmocka_unit_test(the_parts_of_a_client_hello_have_their_sizes),
            cmocka_unit_test(the_parts_of_a_certificate_request_have_their_sizes),
            cmocka_unit_test(nothing_follows_a_certificate_in_its_entry),
            cmocka_unit_test(an_address_of_an_odd_length_is_odd),
            cmocka_unit_test(a_name_has_at_most_253_characters),
            cmocka_unit_test(the_client_has_exactly_the_devices_certificates),
            cmocka_unit_test(a_server_without_a_certificate_is_refused),
            cmocka_unit_test(a_server_may_have_a_chain),
            cmocka_unit_test(a_malformed_name_of_the_server_is_refused),
            cmocka_unit_test(an_extension_with_another_name_is_refused),
            cmocka_unit_test(other_framings_are_refused),
            cmocka_unit_test(the_form_of_tls_1_3_is_exact),
            cmocka_unit_test(patterns_cover_whole_labels),
    };

    return cmocka_run_group_tests(tests, make_all, free_all);
}
