/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's own OpenSSL library context. It has the default provider alone, whatever the
 * program's openssl.cnf says, so that the library never calls its own provider.
 */
#ifndef CRYPTOGRAPHY_H
#define CRYPTOGRAPHY_H

#include <openssl/crypto.h>

#include "base/error.h"

/*
 * Made at the first call, kept for the life of the process, safe from any thread. NULL with
 * *error set when OpenSSL cannot make it.
 */
OSSL_LIB_CTX *cryptography_context(struct aliyun_iot_error **error);

#endif
