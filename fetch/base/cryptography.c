/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cryptography.h"

#include <pthread.h>

#include <openssl/err.h>
#include <openssl/provider.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *context;

static void make_context(void)
{
    OSSL_LIB_CTX *made = OSSL_LIB_CTX_new();

    if (made && OSSL_PROVIDER_load(made, "default"))
        context = made;
    else
        OSSL_LIB_CTX_free(made);
}

OSSL_LIB_CTX *cryptography_context(struct aliyun_iot_error **error)
{
    pthread_once(&once, make_context);
    if (!context)
        error_set_openssl(error, "OpenSSL's default provider cannot be loaded");
    return context;
}
