/* SPDX-License-Identifier: Apache-2.0 */
/* What test programs load keys by, as any program that knows OpenSSL alone does. */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/store.h>

/* The private key of a URI, all of whose objects are loaded. NULL: OpenSSL's errors are printed. */
static EVP_PKEY *load_key(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    while (store && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    if (!key)
        ERR_print_errors_fp(stderr);
    return key;
}

#endif
