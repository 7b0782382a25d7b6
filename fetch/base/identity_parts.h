/* SPDX-License-Identifier: Apache-2.0 */
/* What an identity consists of: for identity.c, and for identity_record.c, which keeps it. */
#ifndef IDENTITY_PARTS_H
#define IDENTITY_PARTS_H

#include <stdatomic.h>

#include "base/identity.h"

/* Bytes in DER. */
struct der {
    unsigned char *bytes;
    size_t size;
};

struct aliyun_iot_identity {
    atomic_int references;
    struct der *certificates; /* the leaf, then intermediates */
    size_t certificate_count;
    struct der key;             /* PKCS#8 PrivateKeyInfo; empty: signer */
    OSSL_PARAM *key_parameters; /* the same key, as OpenSSL's key management imports it */
    struct key_signer signer;   /* sign is NULL: the key is data */
    char *key_type;
    char *serial_number;
    char *request_id;
    int64_t not_before, not_after;
    int64_t fetched; /* when its source had it, in seconds since 1970 */
};

#endif
