/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handshake/server_names.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "base/cryptography.h"
#include "base/identity.h"

DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free);

void server_names_free(struct server_names *names)
{
    free(names);
}

static struct bytes content_of(const ASN1_STRING *string)
{
    return (struct bytes){ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
}

static void read_dns_name(const GENERAL_NAME *entry, struct server_name *name)
{
    if (dns_name_read(content_of(entry->d.dNSName), true, true, name->dns))
        name->kind = SERVER_NAME_DNS;
}

static void read_address(const GENERAL_NAME *entry, struct server_name *name)
{
    struct bytes content = content_of(entry->d.iPAddress);

    if (content.left != 4 && content.left != 16)
        return;
    memcpy(name->address.bytes, content.at, content.left);
    name->address.size = content.left;
    name->kind = SERVER_NAME_ADDRESS;
}

static struct server_names *read_all(const GENERAL_NAMES *entries, const char **problem)
{
    int count = sk_GENERAL_NAME_num(entries);
    struct server_names *names =
            calloc(1, sizeof(*names) + (size_t)(count > 0 ? count : 0) * sizeof(names->names[0]));

    if (!names) {
        *problem = "there was no memory to read it";
        return NULL;
    }
    for (int index = 0; index < count; index++) {
        const GENERAL_NAME *entry = sk_GENERAL_NAME_value(entries, index);
        struct server_name *name = &names->names[names->count];

        name->kind = SERVER_NAME_ODD;
        if (entry->type == GEN_DNS)
            read_dns_name(entry, name);
        else if (entry->type == GEN_IPADD)
            read_address(entry, name);
        else
            continue;
        names->count++;
    }
    return names;
}

struct server_names *server_names_read(struct bytes certificate, const char **problem)
{
    OSSL_LIB_CTX *context = cryptography_context(NULL);
    CLEANUP(X509_free) X509 *decoded = context ? X509_new_ex(context, NULL) : NULL;
    CLEANUP(GENERAL_NAMES_free) GENERAL_NAMES *entries = NULL;
    const unsigned char *at = certificate.at;
    int state;

    if (!decoded) {
        *problem = "there was no memory to read it";
        return NULL;
    }
    if (!d2i_X509(&decoded, &at, (long)certificate.left) ||
            at != certificate.at + certificate.left) {
        *problem = "the server's certificate cannot be decoded";
        return NULL;
    }
    entries = X509_get_ext_d2i(decoded, NID_subject_alt_name, &state, NULL);
    /* -1: there is none. */
    if (!entries && state != -1) {
        *problem = "the server's certificate has a malformed subjectAltName, or more than one";
        return NULL;
    }
    return read_all(entries, problem);
}
