/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a device in a token: where it is, and how it is found there. */
#ifndef DEVICE_KEY_H
#define DEVICE_KEY_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/device.h"
#include "base/error.h"
#include "base/settings.h"
#include "base/token_place.h"

enum {
    DEVICE_KEY_ID_SIZE = 20,    /* bytes of CKA_ID, as a key identifier usually has */
    DEVICE_KEY_LABEL_SIZE = 128 /* of the label and its NUL */
};

/* It has copies of everything, because identities live longer than the settings. */
struct device_key {
    char *uri, *module_path, *pin_source;
    unsigned char id[DEVICE_KEY_ID_SIZE];
    char label[DEVICE_KEY_LABEL_SIZE]; /* PRODUCT_KEY/DEVICE_NAME */
    BUF_MEM *modulus;                  /* most significant byte first; empty: not known */
    atomic_ulong handle;               /* where the key was found last; 0: nowhere yet */
};

/* To be freed with device_key_free(). NULL with *error set. */
struct device_key *device_key_new(const struct settings *settings, const struct device *device,
        struct aliyun_iot_error **error);
void device_key_free(struct device_key *key);
DEFINE_CLEANUP(struct device_key *, device_key_free);

/* What it is called in the token. They live as long as the key. */
struct token_place device_key_place(const struct device_key *key);
struct bytes device_key_id(const struct device_key *key);
struct bytes device_key_modulus(const struct device_key *key);

#endif
