/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aliyun-iot vault rekey: seals every entry anew with another key, while programs go on using the
 * vault. The vault's file of keys has both meanwhile, so whoever has one of them reads entries
 * under either. What was begun and interrupted goes on when the command is given again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings_values.h"
#include "base/text.h"
#include "command/command.h"
#include "command/vault.h"

struct rekey {
    const struct sealing_key *next;
    long long sealed, changed /* in this round */, faults;
};

static int seal_anew(void *context, const struct vault *vault, const struct vault_entry *entry)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new(), *bytes = BUF_MEM_new();
    struct rekey *rekey = context;
    struct sealed sealed;
    files_problem problem;
    bool was_changed;

    if (entry->problem)
        return fail("%s: it cannot be read: %s; the vault can be used as it is; give the same "
                    "command again to go on",
                entry->file_name, entry->problem);
    if (!entry->identity) {
        problem = files_set_aside(vault->folder, entry->file_name);
        if (problem)
            return fail("%s: %s, and it cannot be set aside: %s", entry->file_name, entry->fault,
                    problem);
        printf("%s: set aside: %s\n", entry->file_name, entry->fault);
        rekey->faults++;
        return EXIT_DONE;
    }
    if (memcmp(entry->key_id, rekey->next->id, SEALING_ID_SIZE) == 0)
        return EXIT_DONE;
    if (!content || !bytes ||
            !sealed_parse((struct bytes){entry->file->bytes, entry->file->size}, &sealed) ||
            unseal(&vault->keys->older, &sealed, content, NULL) != 1 ||
            !seal(rekey->next, sealed.names,
                    (struct bytes){(const unsigned char *)content->data, content->length}, bytes,
                    NULL))
        return fail("%s: it cannot be sealed anew: OpenSSL failed", entry->file_name);
    problem = files_replace(
            vault->folder, entry->file_name, entry->file, bytes->data, bytes->length, &was_changed);
    if (problem)
        return fail("%s: it cannot be written: %s; the vault can be used as it is; give the same "
                    "command again to go on",
                entry->file_name, problem);
    if (was_changed)
        rekey->changed++; /* and is looked at in the next round, if it is still there */
    else
        rekey->sealed++;
    return EXIT_DONE;
}

/* Until a round finds nothing: a program that began before may still write under the older key. */
static int seal_all_anew(const struct vault *vault, struct rekey *rekey, long long *sealed)
{
    do {
        int status;

        rekey->sealed = rekey->changed = 0;
        status = vault_visit(vault, seal_anew, rekey);
        if (status != EXIT_DONE)
            return status;
        *sealed += rekey->sealed;
    } while (rekey->sealed + rekey->changed > 0);
    return EXIT_DONE;
}

/* The text in the form that settings have it in, of malloc(); NULL: the exit status says more. */
static char *make_absolute(const char *text, int *status)
{
    char *source = NULL, *folder = realpath(".", NULL), *file = NULL;
    const char *problem = "out of memory";

    if (folder && asprintf(&file, "%s/-", folder) >= 0) {
        const struct settings_value value = {.text = text, .file = file, .place = &source};

        problem = settings_read_sealing_key(&value);
        free(file);
    }
    free(folder);
    if (problem)
        *status = fail_usage("%s: %s", text, problem);
    return source;
}

static int change_key(struct vault *vault, const char *source)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    struct rekey rekey = {.next = &vault->keys->now};
    long long sealed = 0;
    int status = seal_all_anew(vault, &rekey, &sealed);

    if (status != EXIT_DONE)
        return status;
    if (!vault_keys_end_change(vault->folder, vault->settings->vault_path, &error))
        return fail("%s", aliyun_iot_error_message(error));
    printf("%lld entries sealed anew, %lld set aside; now set key = %s in section [vault], and "
           "reload or restart what uses the vault\n",
            sealed, rekey.faults, source);
    return EXIT_DONE;
}

int vault_rekey(const char *agent_file, const char *key_source)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    VAULT_CLEANUP struct vault vault;
    int status = vault_open(agent_file, true, &vault);
    CLEANUP(free) char *text = status == EXIT_DONE ? make_absolute(key_source, &status) : NULL;
    struct key_source source;
    struct vault_keys *keys;

    if (!text)
        return status;
    source = vault_key_source(&vault, text);
    keys = vault_keys_begin_change(vault.folder, vault.settings->vault_path,
            vault.keys->has_older ? &vault.keys->older : &vault.keys->now, &source, &error);
    if (!keys)
        return fail("%s", aliyun_iot_error_message(error));
    vault_keys_free(vault.keys);
    vault.keys = keys;
    if (keys->has_older)
        return change_key(&vault, text);
    printf("the vault is sealed with that key already\n");
    return EXIT_DONE;
}
