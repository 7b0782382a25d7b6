/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handshake/transcript.h"

#include <string.h>

#include <aliyun-iot/identity.h>

#include "agent/handshake/key_exchange.h"

/* RFC 5246, section 7.4; RFC 6066, section 8. */
enum {
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    CERTIFICATE = 11,
    SERVER_KEY_EXCHANGE = 12,
    CERTIFICATE_REQUEST = 13,
    SERVER_HELLO_DONE = 14,
    CLIENT_KEY_EXCHANGE = 16,
    CERTIFICATE_STATUS = 22
};

/* Extensions: RFC 6066, RFC 7250, RFC 8446. */
enum {
    SERVER_NAME = 0,
    CLIENT_CERTIFICATE_TYPE = 19,
    SERVER_CERTIFICATE_TYPE = 20,
    SUPPORTED_VERSIONS = 43
};

enum { VERSION_TLS_1_2 = 0x0303, RANDOM_SIZE = 32, SESSION_ID_MAX = 32, HOST_NAME = 0 };

static const char problem_client_hello[] = "the ClientHello is malformed";
static const char problem_server_hello[] = "the ServerHello is malformed";
static const char problem_sni[] = "the name of the server in the ClientHello is malformed";

/* Takes a message of this type. False: another one is there, or it is cut off. */
static bool take_message(struct bytes *messages, uint32_t type, struct bytes *body)
{
    struct bytes rest = *messages;
    uint32_t found;

    if (!bytes_take_number(&rest, 1, &found) || found != type || !bytes_take_vector(&rest, 3, body))
        return false;
    *messages = rest;
    return true;
}

/* What both hellos begin with: the version, the random bytes and the session. */
static bool take_hello(struct bytes *hello, uint32_t *version)
{
    struct bytes random, session;

    return bytes_take_number(hello, 2, version) && bytes_take(hello, RANDOM_SIZE, &random) &&
           bytes_take_vector(hello, 1, &session) && session.left <= SESSION_ID_MAX;
}

/* The extensions, which may be missing, are all that is left of a hello. */
static bool take_extensions(struct bytes *hello, struct bytes *extensions)
{
    *extensions = (struct bytes){hello->at, 0};
    return hello->left == 0 || (bytes_take_vector(hello, 2, extensions) && hello->left == 0);
}

static bool take_extension(struct bytes *extensions, uint32_t *type, struct bytes *content)
{
    return bytes_take_number(extensions, 2, type) && bytes_take_vector(extensions, 2, content);
}

/* RFC 6066, section 3: exactly one host_name. */
static bool read_sni(struct bytes content, char sni[DNS_NAME_SIZE])
{
    struct bytes list, name;
    uint32_t type;

    return bytes_take_vector(&content, 2, &list) && content.left == 0 &&
           bytes_take_number(&list, 1, &type) && type == HOST_NAME &&
           bytes_take_vector(&list, 2, &name) && list.left == 0 &&
           dns_name_read(name, false, false, sni);
}

static const char *read_client_hello(struct bytes hello, struct transcript *transcript)
{
    struct bytes suites, compressions, extensions, content;
    uint32_t version, type;

    if (!take_hello(&hello, &version) || !bytes_take_vector(&hello, 2, &suites) ||
            suites.left == 0 || suites.left % 2 != 0 ||
            !bytes_take_vector(&hello, 1, &compressions) || compressions.left == 0 ||
            !take_extensions(&hello, &extensions))
        return problem_client_hello;
    if (version != VERSION_TLS_1_2)
        return "the ClientHello is not one of TLS 1.2";
    while (extensions.left > 0) {
        if (!take_extension(&extensions, &type, &content))
            return problem_client_hello;
        if (type != SERVER_NAME)
            continue;
        if (transcript->has_sni || !read_sni(content, transcript->sni))
            return problem_sni;
        transcript->has_sni = true;
    }
    return NULL;
}

static const char *read_server_hello(struct bytes hello, enum key_exchange *exchange)
{
    struct bytes extensions, content;
    uint32_t version, suite, compression, type;

    if (!take_hello(&hello, &version) || !bytes_take_number(&hello, 2, &suite) ||
            !bytes_take_number(&hello, 1, &compression) || !take_extensions(&hello, &extensions))
        return problem_server_hello;
    if (version != VERSION_TLS_1_2)
        return "the ServerHello is not one of TLS 1.2";
    while (extensions.left > 0) {
        if (!take_extension(&extensions, &type, &content))
            return problem_server_hello;
        if (type == SUPPORTED_VERSIONS)
            return "the ServerHello is one of another version than TLS 1.2";
        /* 0 is X.509, which both sides then name. */
        if ((type == CLIENT_CERTIFICATE_TYPE || type == SERVER_CERTIFICATE_TYPE) &&
                !(content.left == 1 && *content.at == 0))
            return "a raw public key takes the place of a certificate";
    }
    *exchange = key_exchange_of(suite);
    return *exchange == KEY_EXCHANGE_OTHER ? "the cipher suite is none of RSA, DHE or ECDHE" : NULL;
}

/* Takes the list of a Certificate message. */
static bool take_certificates(struct bytes *messages, struct bytes *list)
{
    struct bytes body;

    return take_message(messages, CERTIFICATE, &body) && bytes_take_vector(&body, 3, list) &&
           body.left == 0;
}

static const char *read_server_certificate(struct bytes *messages, struct transcript *transcript)
{
    static const char malformed[] = "the server's Certificate is missing or malformed";
    struct bytes list, leaf, next;
    const char *problem;

    if (!take_certificates(messages, &list) || !bytes_take_vector(&list, 3, &leaf))
        return malformed;
    while (list.left > 0)
        if (!bytes_take_vector(&list, 3, &next))
            return malformed;
    transcript->names = server_names_read(leaf, &problem);
    return transcript->names ? NULL : problem;
}

static const char *read_server_key_exchange(struct bytes *messages, enum key_exchange exchange)
{
    struct bytes body;
    bool is_there = take_message(messages, SERVER_KEY_EXCHANGE, &body);

    if (is_there != (exchange == KEY_EXCHANGE_EPHEMERAL))
        return "the ServerKeyExchange does not fit the cipher suite";
    return is_there && body.left == 0 ? "the ServerKeyExchange is empty" : NULL;
}

static const char *read_certificate_request(struct bytes *messages)
{
    struct bytes body, types, schemes, authorities;

    if (!take_message(messages, CERTIFICATE_REQUEST, &body) ||
            !bytes_take_vector(&body, 1, &types) || types.left == 0 ||
            !bytes_take_vector(&body, 2, &schemes) || schemes.left == 0 || schemes.left % 2 != 0 ||
            !bytes_take_vector(&body, 2, &authorities) || body.left > 0)
        return "the CertificateRequest is missing or malformed";
    return NULL;
}

/* Exactly the identity's leaf, or its leaf and all intermediates. */
static const char *read_client_certificate(
        struct bytes *messages, const struct aliyun_iot_identity *identity)
{
    size_t count = aliyun_iot_identity_certificate_count(identity), found = 0;
    struct bytes list, certificate;

    if (!take_certificates(messages, &list))
        return "the client's Certificate is missing or malformed";
    for (; list.left > 0; found++) {
        size_t size = 0;
        const unsigned char *expected =
                found < count ? aliyun_iot_identity_certificate(identity, found, &size) : NULL;

        if (!bytes_take_vector(&list, 3, &certificate))
            return "the client's Certificate is missing or malformed";
        if (!expected || certificate.left != size || memcmp(certificate.at, expected, size) != 0)
            return "the client's certificate is not that of this device";
    }
    return found == 1 || found == count ? NULL
                                        : "the client's certificate is not that of this device";
}

static const char *read_key_exchange_of_client(struct bytes *messages)
{
    struct bytes body;

    if (!take_message(messages, CLIENT_KEY_EXCHANGE, &body) || body.left == 0)
        return "the ClientKeyExchange is missing or empty";
    return messages->left > 0 ? "something follows the ClientKeyExchange" : NULL;
}

static const char *read_server_hello_done(struct bytes *messages)
{
    struct bytes body;

    return take_message(messages, SERVER_HELLO_DONE, &body) && body.left == 0
                   ? NULL
                   : "the ServerHelloDone is missing or malformed";
}

static const char *read_messages(struct bytes messages, const struct aliyun_iot_identity *identity,
        struct transcript *transcript)
{
    enum key_exchange exchange;
    struct bytes body;
    const char *problem;

    if (!take_message(&messages, CLIENT_HELLO, &body))
        return "it does not begin with a ClientHello";
    problem = read_client_hello(body, transcript);
    if (problem)
        return problem;
    if (!take_message(&messages, SERVER_HELLO, &body))
        return "the ServerHello is missing";
    problem = read_server_hello(body, &exchange);
    if (problem)
        return problem;
    problem = read_server_certificate(&messages, transcript);
    if (problem)
        return problem;
    take_message(&messages, CERTIFICATE_STATUS, &body);
    problem = read_server_key_exchange(&messages, exchange);
    if (!problem)
        problem = read_certificate_request(&messages);
    if (!problem)
        problem = read_server_hello_done(&messages);
    if (!problem)
        problem = read_client_certificate(&messages, identity);
    return problem ? problem : read_key_exchange_of_client(&messages);
}

const char *transcript_read(struct bytes message, const struct aliyun_iot_identity *identity,
        struct transcript *transcript)
{
    const char *problem;

    *transcript = (struct transcript){.names = NULL};
    problem = read_messages(message, identity, transcript);
    if (problem) {
        server_names_free(transcript->names);
        *transcript = (struct transcript){.names = NULL};
    }
    return problem;
}
