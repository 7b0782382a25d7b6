/* SPDX-License-Identifier: Apache-2.0 */
/* The helper for programs with an SSL_CTX of their own, proved by handshakes in memory. */
#include "signer_double.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <aliyun-iot/ssl.h>

#include "base/identity.h"

static const char *const key_types[] = {"RSA", "EC", "ED25519"};
enum { TYPES = sizeof(key_types) / sizeof(key_types[0]) };

/* A key that is not data. */
static const char signers_name[] = "signer";
static struct aliyun_iot_identity *signers_identity;

static EVP_PKEY *ca_key;
static X509 *ca, *intermediate;
static EVP_PKEY *intermediate_key;
static struct aliyun_iot_identity *identities[TYPES];

/* The resolver's part: aliyun-iot:product/TYPE. */
int aliyun_iot_identity_resolve(const char *settings_file, const char *uri,
        struct aliyun_iot_identity **identity, enum aliyun_iot_object *object,
        struct aliyun_iot_error **error)
{
    assert_null(settings_file);
    *identity = NULL;
    *error = NULL;
    *object = strstr(uri, "object=key") ? ALIYUN_IOT_OBJECT_KEY : ALIYUN_IOT_OBJECT_ALL;
    for (size_t type = 0; type < TYPES; type++)
        if (strstr(uri, key_types[type]))
            *identity = identity_reference(identities[type]);
    if (strstr(uri, signers_name))
        *identity = identity_reference(signers_identity);
    return *identity != NULL || error_set(error, ALIYUN_IOT_REASON_NOT_FOUND, "%s: no such", uri);
}

static X509 *new_certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *certificate = pair_certificate(key, -3600, 86400);
    X509_NAME *subject = X509_NAME_new();
    X509V3_CTX context;
    X509_EXTENSION *constraints;

    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_subject_name(certificate, subject);
    X509_NAME_free(subject);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate));
    X509V3_set_ctx(&context, issuer ? issuer : certificate, certificate, NULL, NULL, 0);
    constraints = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints,
            strcmp(name, "leaf") == 0 ? "critical,CA:FALSE" : "critical,CA:TRUE");
    X509_add_ext(certificate, constraints, -1);
    X509_EXTENSION_free(constraints);
    pair_sign(certificate, issuer_key);
    return certificate;
}

static struct aliyun_iot_identity *new_signers_identity(struct signer_double *signer)
{
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();
    const struct key_signer key_signer = signer_double(signer);

    sk_X509_push(chain, new_certificate("leaf", signer->key, intermediate, intermediate_key));
    return identity_new_with_signer(chain, &key_signer, "1", "request", NULL);
}

static struct aliyun_iot_identity *new_identity(const char *type)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = pair_key(type);
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();
    struct aliyun_iot_error *error = NULL;

    sk_X509_push(chain, new_certificate("leaf", key, intermediate, intermediate_key));
    X509_up_ref(intermediate);
    sk_X509_push(chain, intermediate);
    return identity_new(chain, key, "1", "request", &error);
}

/* A server that trusts the CA alone, so that a client without the intermediate is refused. */
static SSL_CTX *new_server(void)
{
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());

    assert_int_equal(SSL_CTX_use_certificate(server, ca), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, ca_key), 1);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(server), ca);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return server;
}

/* Connects within memory; returns what the server says of the client. */
static long handshake(SSL_CTX *client_context, SSL_CTX *server_context, int version)
{
    SSL *client = SSL_new(client_context), *server = SSL_new(server_context);
    BIO *client_side, *server_side;
    int done = 0;
    long result;

    assert_int_equal(BIO_new_bio_pair(&client_side, 0, &server_side, 0), 1);
    SSL_set_bio(client, client_side, client_side);
    SSL_set_bio(server, server_side, server_side);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_set_min_proto_version(client, version);
    SSL_set_max_proto_version(client, version);
    for (int round = 0; round < 20 && done != 2; round++)
        done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);
    result = done == 2 ? SSL_get_verify_result(server) : -1;
    SSL_free(client);
    SSL_free(server);
    return result;
}

static void assert_connects(SSL_CTX *client)
{
    SSL_CTX *server = new_server();

    assert_int_equal(handshake(client, server, TLS1_2_VERSION), X509_V_OK);
    assert_int_equal(handshake(client, server, TLS1_3_VERSION), X509_V_OK);
    SSL_CTX_free(server);
}

static void identities_of_every_type_of_key_connect_with_their_intermediates(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        char uri[64];
        SSL_CTX *client = SSL_CTX_new(TLS_client_method());

        snprintf(uri, sizeof(uri), "aliyun-iot:product/%s", key_types[type]);
        assert_int_equal(aliyun_iot_use_identity(client, uri), 1);
        assert_connects(client);
        SSL_CTX_free(client);
    }
}

static void one_identity_takes_the_place_of_another(void **state)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    CLEANUP(EVP_PKEY_free) EVP_PKEY *other_key = pair_key("RSA");
    X509 *other = new_certificate("other", other_key, NULL, other_key);
    STACK_OF(X509) *chain;

    (void)state;
    assert_int_equal(SSL_CTX_use_certificate(client, other), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(client, other_key), 1);
    assert_int_equal(SSL_CTX_add1_chain_cert(client, other), 1);
    assert_int_equal(aliyun_iot_use_identity(client, "aliyun-iot:product/RSA"), 1);
    assert_int_equal(aliyun_iot_use_identity(client, "aliyun-iot:product/RSA"), 1);
    SSL_CTX_get0_chain_certs(client, &chain);
    assert_int_equal(sk_X509_num(chain), 1);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 0), intermediate), 0);
    assert_connects(client);
    X509_free(other);
    SSL_CTX_free(client);
}

/* One error of that reason is on the queue, on top of the caller's own; both are taken off. */
static void assert_fails(
        SSL_CTX *client, const char *uri, enum aliyun_iot_reason reason, const char *phrase)
{
    const char *data;
    int flags;
    unsigned long code;

    ERR_raise(ERR_LIB_USER, 1);
    assert_int_equal(aliyun_iot_use_identity(client, uri), 0);
    assert_int_equal(ERR_GET_LIB(ERR_get_error()), ERR_LIB_USER);
    code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
    assert_int_equal(ERR_GET_REASON(code), reason);
    assert_string_equal(ERR_lib_error_string(code), "aliyun-iot");
    assert_string_equal(ERR_reason_error_string(code), aliyun_iot_reason_text(reason));
    assert_non_null(strstr(data, phrase));
    assert_non_null(strstr(data, uri));
    assert_int_equal(ERR_get_error(), 0);
}

static void what_fails_is_one_error_and_leaves_the_context_as_it_was(void **state)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    struct signer_double signer = {.key = ca_key};
    X509 *before;

    (void)state;
    assert_int_equal(aliyun_iot_use_identity(client, "aliyun-iot:product/RSA"), 1);
    before = SSL_CTX_get0_certificate(client);
    assert_fails(client, "aliyun-iot:product/nowhere", ALIYUN_IOT_REASON_NOT_FOUND, "no such");
    assert_fails(client, "aliyun-iot:product/RSA?object=key", ALIYUN_IOT_REASON_BAD_URI,
            "leave out object=");
    SSL_CTX_set_security_level(client, 5);
    assert_fails(client, "aliyun-iot:product/RSA", ALIYUN_IOT_REASON_INTERNAL, "too small");
    SSL_CTX_set_security_level(client, 1);
    signers_identity = new_signers_identity(&signer);
    setenv("OPENSSL_MODULES", "/nonexistent", 1);
    assert_fails(client, "aliyun-iot:product/signer", ALIYUN_IOT_REASON_LIBRARY,
            "needs the provider module");
    aliyun_iot_identity_free(signers_identity);
    assert_ptr_equal(SSL_CTX_get0_certificate(client), before);
    assert_connects(client);
    SSL_CTX_free(client);
}

static void a_library_context_of_its_own_needs_nothing_of_the_default_one(void **state)
{
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();

    (void)state;
    assert_int_equal(EVP_set_default_properties(NULL, "provider=none"), 1);
    assert_null(EVP_MD_fetch(NULL, "SHA256", NULL));
    ERR_clear_error();
    for (size_t type = 0; type < TYPES; type++) {
        SSL_CTX *client = SSL_CTX_new_ex(context, NULL, TLS_client_method());
        char uri[64];

        snprintf(uri, sizeof(uri), "aliyun-iot:product/%s", key_types[type]);
        assert_int_equal(aliyun_iot_use_identity(client, uri), 1);
        assert_int_equal(SSL_CTX_check_private_key(client), 1);
        SSL_CTX_free(client);
    }
    assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
    OSSL_LIB_CTX_free(context);
}

static int make_identities(void **state)
{
    (void)state;
    ca_key = pair_key("EC");
    ca = new_certificate("CA", ca_key, NULL, ca_key);
    intermediate_key = pair_key("RSA");
    intermediate = new_certificate("intermediate", intermediate_key, ca, ca_key);
    for (size_t type = 0; type < TYPES; type++)
        identities[type] = new_identity(key_types[type]);
    return 0;
}

static int free_identities(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++)
        aliyun_iot_identity_free(identities[type]);
    X509_free(intermediate);
    EVP_PKEY_free(intermediate_key);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(identities_of_every_type_of_key_connect_with_their_intermediates),
            cmocka_unit_test(one_identity_takes_the_place_of_another),
            cmocka_unit_test(what_fails_is_one_error_and_leaves_the_context_as_it_was),
            cmocka_unit_test(a_library_context_of_its_own_needs_nothing_of_the_default_one),
    };

    return cmocka_run_group_tests(tests, make_identities, free_identities);
}
