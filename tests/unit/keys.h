/* SPDX-License-Identifier: Apache-2.0 */
/* Keys for tests. */
#ifndef KEYS_H
#define KEYS_H

#include "unit.h"

#include <openssl/evp.h>
#include <openssl/params.h>

/*
 * The key with some of its parts replaced by those of another key; names end with NULL. OpenSSL
 * does not look whether they fit.
 */
static inline EVP_PKEY *graft(EVP_PKEY *key, EVP_PKEY *other, const char *const names[])
{
    OSSL_PARAM *parameters, *others;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, EVP_PKEY_get0_type_name(key), NULL);
    EVP_PKEY *grafted = NULL;

    assert_int_equal(1, EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &parameters));
    assert_int_equal(1, EVP_PKEY_todata(other, EVP_PKEY_KEYPAIR, &others));
    for (size_t index = 0; names[index]; index++)
        *OSSL_PARAM_locate(parameters, names[index]) = *OSSL_PARAM_locate(others, names[index]);
    assert_int_equal(1, EVP_PKEY_fromdata_init(maker));
    assert_int_equal(1, EVP_PKEY_fromdata(maker, &grafted, EVP_PKEY_KEYPAIR, parameters));
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_free(others);
    EVP_PKEY_CTX_free(maker);
    return grafted;
}

#endif
