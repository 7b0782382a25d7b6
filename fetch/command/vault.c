/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot vault: makes a vault, looks after it, and seals it anew with another key. */
#include "command/vault.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/identity_record.h"
#include "base/pattern.h"
#include "base/text.h"
#include "command/command.h"
#include "modules.h"

void vault_close(struct vault *vault)
{
    files_close(&vault->folder);
    vault_keys_free(vault->keys);
    settings_free(vault->settings);
    OPENSSL_cleanse(vault, sizeof(*vault));
}

/* Reads the settings and the key that they name. */
static int read_settings(const char *agent_file, struct vault *vault)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;

    *vault = (struct vault){.folder = -1};
    vault->settings =
            agent_file ? settings_load_for_agent(agent_file, &error) : settings_load(NULL, &error);
    if (!vault->settings)
        return fail("%s", aliyun_iot_error_message(error));
    if (!vault->settings->vault_path)
        return fail("%s names no vault: set path and key in section [vault]",
                vault->settings->file ? vault->settings->file : "no settings file");
    return EXIT_DONE;
}

static int open_folder(struct vault *vault)
{
    files_problem problem = files_open(vault->settings->vault_path, &vault->folder);

    return problem ? fail("the vault %s: %s", vault->settings->vault_path, problem) : EXIT_DONE;
}

struct key_source vault_key_source(const struct vault *vault, const char *text)
{
    return (struct key_source){text, vault->settings, &module_key_wrapper};
}

static int lock_folder(const struct vault *vault)
{
    bool is_taken;
    files_problem problem = files_lock_for_change(vault->folder, &is_taken);

    if (is_taken)
        return fail("the vault %s: another vault rekey or purge runs; wait until it ends",
                vault->settings->vault_path);
    return problem ? fail("the vault %s: %s", vault->settings->vault_path, problem) : EXIT_DONE;
}

static int read_keys(struct vault *vault)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    const char *path = vault->settings->vault_path;
    const struct key_source source = vault_key_source(vault, vault->settings->vault_key);

    if (vault_keys_own(vault->folder, path, &source, &vault->own, &error))
        vault->keys = vault_keys_load(vault->folder, path, &vault->own, &error);
    return vault->keys ? EXIT_DONE : fail("%s", aliyun_iot_error_message(error));
}

int vault_open(const char *agent_file, bool is_to_be_changed, struct vault *vault)
{
    int status = read_settings(agent_file, vault);

    if (status == EXIT_DONE)
        status = open_folder(vault);
    /* Before the keys are read, which a rekey changes. */
    if (status == EXIT_DONE && is_to_be_changed)
        status = lock_folder(vault);
    return status == EXIT_DONE ? read_keys(vault) : status;
}

int vault_init(const char *agent_file)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    VAULT_CLEANUP struct vault vault;
    int status = read_settings(agent_file, &vault);
    struct key_source source;
    files_problem problem;

    if (status != EXIT_DONE)
        return status;
    source = vault_key_source(&vault, vault.settings->vault_key);
    problem = files_create(vault.settings->vault_path, &vault.folder);
    if (problem)
        return fail("the vault %s: %s", vault.settings->vault_path, problem);
    if (!vault_keys_create(vault.folder, vault.settings->vault_path, &source, &error))
        return fail("%s", aliyun_iot_error_message(error));
    return EXIT_DONE;
}

/* Nobody has vouched for them yet, and they are shown. */
static bool read_names(struct bytes bytes, struct entry_names *names)
{
    struct entry_names found;

    if (!entry_names_read(bytes, &found) || !text_is_visible(found.account) ||
            !text_is_visible(found.region) || !text_is_visible(found.instance_id) ||
            !text_is_visible(found.product_key) || !text_is_visible(found.device_name))
        return false;
    *names = found;
    return true;
}

static void unseal_entry(struct vault_entry *entry, const struct sealing_key *key,
        const struct sealed *sealed, BUF_MEM *content)
{
    bool lacks_memory = false;
    int done = unseal(key, sealed, content, NULL);

    if (done == 1)
        entry->identity = identity_record_read(
                (struct bytes){(const unsigned char *)content->data, content->length},
                &lacks_memory);
    if (done < 0 || lacks_memory)
        entry->problem = "there was no memory, or OpenSSL failed";
    else if (!entry->identity)
        entry->fault = "it is damaged";
}

/* Unseals what was read. */
static void read_entry(const struct vault *vault, struct vault_entry *entry)
{
    const struct bytes bytes = {entry->file->bytes, entry->file->size};
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
    char expected[ENTRY_FILE_NAME_SIZE];
    const struct sealing_key *key;
    struct sealed sealed;

    if (!sealed_parse(bytes, &sealed) || !read_names(sealed.names, &entry->names)) {
        entry->fault = "it is damaged";
        return;
    }
    entry->key_id = sealed.id;
    key = vault_keys_find(vault->keys, sealed.id);
    if (!content || !entry_file_name(sealed.names, expected, NULL))
        entry->problem = "there was no memory, or OpenSSL failed";
    else if (strcmp(expected, entry->file_name) != 0)
        entry->fault = "it belongs to another device than its name says";
    else if (!key)
        entry->fault = "it is sealed with a key that is not the vault's";
    else
        unseal_entry(entry, key, &sealed, content);
}

struct visit {
    const struct vault *vault;
    int (*visit)(void *context, const struct vault *vault, const struct vault_entry *entry);
    void *context;
    int status;
};

static bool visit_one(void *context, const char *name)
{
    struct visit *visit = context;
    struct file file;
    struct vault_entry entry = {.file_name = name, .file = &file};

    entry.problem = files_read(visit->vault->folder, name, &file, &entry.fault);
    if (!entry.problem && !file.bytes && !entry.fault)
        return true; /* It was removed meanwhile. */
    if (!entry.problem && !entry.fault)
        read_entry(visit->vault, &entry);
    visit->status = visit->visit(visit->context, visit->vault, &entry);
    aliyun_iot_identity_free(entry.identity);
    free(file.bytes);
    return visit->status == EXIT_DONE;
}

int vault_visit(const struct vault *vault,
        int (*visit)(void *context, const struct vault *vault, const struct vault_entry *entry),
        void *context)
{
    struct visit visits = {vault, visit, context, EXIT_DONE};
    files_problem problem = files_visit(vault->folder, visit_one, &visits);

    return problem ? fail("the vault %s: %s", vault->settings->vault_path, problem) : visits.status;
}

/* Takes --agent FILE out of the arguments. Returns false if it is malformed. */
static bool take_agent_file(int *argc, char **argv, const char **agent_file)
{
    int left = 0;

    *agent_file = NULL;
    for (int index = 0; index < *argc; index++) {
        if (strcmp(argv[index], "--agent") != 0) {
            argv[left++] = argv[index];
            continue;
        }
        if (*agent_file || index + 1 == *argc)
            return false;
        *agent_file = argv[++index];
    }
    *argc = left;
    return true;
}

int command_vault(int argc, char **argv)
{
    const char *agent_file, *word;

    if (!take_agent_file(&argc, argv, &agent_file))
        return fail_usage("--agent takes one agent.conf; see aliyun-iot help vault");
    word = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(word, "init") == 0)
        return vault_init(agent_file);
    if (argc == 2 && strcmp(word, "status") == 0)
        return vault_status(agent_file);
    if (argc == 2 && strcmp(word, "verify") == 0)
        return vault_verify(agent_file);
    if (argc == 3 && strcmp(word, "rekey") == 0)
        return vault_rekey(agent_file, argv[2]);
    if (argc == 3 && strcmp(word, "purge") == 0 && pattern_is_valid(argv[2]))
        return vault_purge(agent_file, argv[2]);
    if (argc == 3 && strcmp(word, "purge") == 0)
        return fail_usage("\"%s\" is no pattern of devices, such as a1B2c3D4e5F/*", argv[2]);
    return fail_usage("vault takes init, status, verify, purge PATTERN or rekey NEW-KEY; see "
                      "aliyun-iot help vault");
}
