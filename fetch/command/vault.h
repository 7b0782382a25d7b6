/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of aliyun-iot vault share: an open vault, and its entries one by one. */
#ifndef COMMAND_VAULT_H
#define COMMAND_VAULT_H

#include "base/identity.h"
#include "base/settings.h"
#include "vault/entry.h"
#include "vault/files.h"
#include "vault/keys.h"

/* The vault that settings name. */
struct vault {
    struct settings *settings;
    struct sealing_key own; /* that the settings name */
    int folder;
    struct vault_keys *keys;
};

void vault_close(struct vault *vault);
#define VAULT_CLEANUP __attribute__((cleanup(vault_close)))

/* An entry. Valid during the visit alone. */
struct vault_entry {
    const char *file_name;
    struct entry_names names;             /* as they stand in the file; strings may be NULL */
    const unsigned char *key_id;          /* of the key that sealed it; NULL: unreadable */
    const struct file *file;              /* what it holds */
    struct aliyun_iot_identity *identity; /* NULL: the following say why */
    const char *fault;                    /* of the file */
    const char *problem;                  /* that is not the file's */
};

/*
 * Opens the vault of the settings in a file: agent_file is an agent.conf; NULL: the user's
 * aliyun-iot.conf. is_to_be_changed: as a whole; no other command may do so meanwhile. Returns
 * EXIT_DONE; or another exit status, having said why.
 */
int vault_open(const char *agent_file, bool is_to_be_changed, struct vault *vault);

/* The source of a key that the settings, or a user, name by a text. It lives as long as both. */
struct key_source vault_key_source(const struct vault *vault, const char *text);

/*
 * Shows each entry, unsealed, until visit returns another status than EXIT_DONE. Returns the last
 * status.
 */
int vault_visit(const struct vault *vault,
        int (*visit)(void *context, const struct vault *vault, const struct vault_entry *entry),
        void *context);

/* The subcommands. They return an exit status. */
int vault_init(const char *agent_file);
int vault_status(const char *agent_file);
int vault_verify(const char *agent_file);
int vault_purge(const char *agent_file, const char *pattern);
int vault_rekey(const char *agent_file, const char *key_source);

#endif
