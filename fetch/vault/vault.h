/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault as a source over another one: what that fetched is kept in sealed files, and served
 * from there after a restart, also while the other one cannot be reached.
 *
 * An identity younger than ttl is served. One that is older is served as well, up to max-stale, but
 * not for a refresh: the memory cache asks for one behind as soon as it sees the identity's age.
 * What is gone or forbidden is removed. A file that is damaged, or another device's, or sealed with
 * a key that is not the vault's, is set aside, and reported to syslog and the trace.
 */
#ifndef VAULT_H
#define VAULT_H

#include "base/key_wrapper.h"
#include "base/settings.h"
#include "base/source.h"

/*
 * upstream becomes the vault's, or is freed if there is none. settings must outlive the source and
 * have a path and a key; wrapper is for a key in a token. NULL with *error set, if the folder or
 * the key cannot be used.
 */
struct source *vault_source_new(const struct settings *settings, struct source *upstream,
        const struct key_wrapper *wrapper, struct aliyun_iot_error **error);

#endif
