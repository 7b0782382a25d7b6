/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a vault. Its file "keys" says which key its entries are sealed with, so that a wrong
 * key in the settings is an error, and no reason to set entries aside:
 *
 *     aliyun-iot-vault 1
 *     key ID
 *     wrapped BASE64          the key itself, if it is wrapped (see key_source.h)
 *
 * While the vault is sealed anew with another key, further lines let a process that has one of the
 * two keys read entries under both:
 *
 *     next ID
 *     next-wrapped BASE64     the new key itself, if it is wrapped
 *     key-by-next BASE64      the old key, sealed with the new one
 *     next-by-key BASE64      the new key, sealed with the old one
 *
 * An id has 32 hexadecimal digits.
 */
#ifndef KEYS_H
#define KEYS_H

#include <stdbool.h>

#include "base/error.h"
#include "vault/key_source.h"
#include "vault/sealing.h"

/* Secrets: to be cleansed. */
struct vault_keys {
    struct sealing_key now;   /* what is written is sealed with it */
    struct sealing_key older; /* some entries may still be sealed with it; all zeros: none */
    bool has_older;
};

/* Cleanses and frees keys of vault_keys_load(). */
void vault_keys_free(struct vault_keys *keys);
DEFINE_CLEANUP(struct vault_keys *, vault_keys_free);

/* Whether both are the same keys, in the same roles. */
bool vault_keys_equal(const struct vault_keys *left, const struct vault_keys *right);

/* The key with that id; NULL: it is none of them. */
const struct sealing_key *vault_keys_find(const struct vault_keys *keys, const unsigned char *id);

/*
 * Reads the key that a process is to use the vault with, which the vault's file has if it is
 * wrapped. path is for messages. Returns 1, and the caller cleanses *own; or 0 with *error set.
 */
int vault_keys_own(int folder, const char *path, const struct key_source *source,
        struct sealing_key *own, struct aliyun_iot_error **error);

/*
 * Reads which keys the vault has, for a process that has one of them. path is for messages. Returns
 * the keys, to be freed with vault_keys_free(); or NULL with *error set (BAD_SETTINGS).
 */
struct vault_keys *vault_keys_load(int folder, const char *path, const struct sealing_key *own,
        struct aliyun_iot_error **error);

/*
 * Makes the file of a new vault, whose key comes from the source, or is made and wrapped. Returns
 * 1; or 0 with *error set.
 */
int vault_keys_create(int folder, const char *path, const struct key_source *source,
        struct aliyun_iot_error **error);

/*
 * Notes that entries are from now on sealed with the key of a source, or goes on with that if it
 * was noted before; older is the vault's key. Returns the keys, to be freed with vault_keys_free(),
 * or NULL with *error set, if another change is under way. If the key is the vault's already, the
 * keys have no older one.
 */
struct vault_keys *vault_keys_begin_change(int folder, const char *path,
        const struct sealing_key *older, const struct key_source *source,
        struct aliyun_iot_error **error);

/* Notes that no entry is sealed with the older key any more. Returns 1; or 0 with *error set. */
int vault_keys_end_change(int folder, const char *path, struct aliyun_iot_error **error);

#endif
