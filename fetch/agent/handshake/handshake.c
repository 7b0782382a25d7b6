/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handshake/handshake.h"

#include <string.h>

#include "base/agent_protocol.h"

/* RFC 8446, section 4.4.3: 64 blanks, the context with its NUL, and the hash of the transcript. */
enum { BLANKS = 64, HASH_OF_SHA256 = 32, HASH_OF_SHA384 = 48 };

static const char context[] = "TLS 1.3, client CertificateVerify";

static bool begins_as_tls_1_3(struct bytes *message)
{
    struct bytes blanks, found;

    if (!bytes_take(message, BLANKS, &blanks) || !bytes_take(message, sizeof(context), &found))
        return false;
    for (size_t index = 0; index < BLANKS; index++)
        if (blanks.at[index] != ' ')
            return false;
    return memcmp(found.at, context, sizeof(context)) == 0;
}

static bool is_scheme_of_tls_1_3(enum key_scheme scheme)
{
    return scheme != KEY_SCHEME_RSA_PKCS1_SHA256 && scheme != KEY_SCHEME_RSA_PKCS1_SHA384 &&
           scheme != KEY_SCHEME_RSA_PKCS1_SHA512;
}

void handshake_read(const void *message, size_t size, enum key_scheme scheme,
        const struct aliyun_iot_identity *identity, struct handshake *handshake)
{
    struct bytes whole = {message, size}, rest = whole;

    *handshake = (struct handshake){.is_tls_1_3 = begins_as_tls_1_3(&rest)};
    if (!handshake->is_tls_1_3)
        handshake->problem = transcript_read(whole, identity, &handshake->transcript);
    else if (rest.left != HASH_OF_SHA256 && rest.left != HASH_OF_SHA384)
        handshake->problem = "the hash of the handshake has a wrong length";
    else if (!is_scheme_of_tls_1_3(scheme))
        handshake->problem = "TLS 1.3 has no such signature scheme";
}

void handshake_release(struct handshake *handshake)
{
    server_names_free(handshake->transcript.names);
    *handshake = (struct handshake){.problem = NULL};
}
