/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that the module offers to OpenSSL. Each is in the file of the same name. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH store_functions[];
extern const OSSL_DISPATCH decoder_functions[];

/* For opaque keys: see opaque_key.h. */
extern const OSSL_DISPATCH keymgmt_functions[];
extern const OSSL_DISPATCH key_decoder_functions[];
extern const OSSL_DISPATCH marker_decoder_functions[];
extern const OSSL_DISPATCH signature_functions[];
#define OPAQUE_KEY_PROPERTY "provider=aliyun-iot"
#define OPAQUE_KEY_STRUCTURE "aliyun-iot-opaque-key"
#define OPAQUE_KEY_SIGNATURE "ALIYUN-IOT-OPAQUE-KEY"

#endif
