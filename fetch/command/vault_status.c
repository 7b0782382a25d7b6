/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot vault status, verify and purge. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/key_pair.h"
#include "base/pattern.h"
#include "base/text.h"
#include "command/command.h"
#include "command/vault.h"

struct census {
    long long entries, faults, older_key, bytes;
    int64_t oldest, newest, next_expiry; /* in seconds since 1970; 0: none */
};

/* When the vault does not serve it any more. */
static int64_t expiry_of(
        const struct settings *settings, const struct aliyun_iot_identity *identity)
{
    int64_t too_old = identity_fetched(identity) +
                      (settings->vault_ttl_ms + settings->vault_max_stale_ms) / 1000;

    return too_old < identity_not_after(identity) ? too_old : identity_not_after(identity);
}

static int count(void *context, const struct vault *vault, const struct vault_entry *entry)
{
    struct census *census = context;
    int64_t fetched, expiry;

    census->entries++;
    census->bytes += (long long)entry->file->size;
    if (!entry->identity) {
        census->faults++;
        return EXIT_DONE;
    }
    census->older_key += memcmp(entry->key_id, vault->keys->now.id, SEALING_ID_SIZE) != 0;
    fetched = identity_fetched(entry->identity);
    expiry = expiry_of(vault->settings, entry->identity);
    if (!census->oldest || fetched < census->oldest)
        census->oldest = fetched;
    if (fetched > census->newest)
        census->newest = fetched;
    if (!census->next_expiry || expiry < census->next_expiry)
        census->next_expiry = expiry;
    return EXIT_DONE;
}

static void print_time(const char *what, int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm broken;
    char text[sizeof("0000-00-00T00:00:00Z")] = "-";

    if (seconds && gmtime_r(&time, &broken))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &broken);
    printf("%-15s %s\n", what, text);
}

int vault_status(const char *agent_file)
{
    VAULT_CLEANUP struct vault vault;
    struct census census = {.entries = 0};
    char id[2 * SEALING_ID_SIZE + 1];
    int status = vault_open(agent_file, false, &vault);

    if (status == EXIT_DONE)
        status = vault_visit(&vault, count, &census);
    if (status != EXIT_DONE)
        return status;
    text_write_hexadecimal(id, vault.keys->now.id, SEALING_ID_SIZE);
    printf("%-15s %s\n", "vault:", vault.settings->vault_path);
    printf("%-15s %s\n", "key:", vault.settings->vault_key);
    printf("%-15s %s%s\n", "key id:", id, vault.keys->has_older ? ", a rekey is not finished" : "");
    printf("%-15s %lld\n", "entries:", census.entries);
    printf("%-15s %lld\n", "bytes:", census.bytes);
    print_time("oldest:", census.oldest);
    print_time("newest:", census.newest);
    print_time("next expiry:", census.next_expiry);
    printf("%-15s %lld\n", "unusable:", census.faults);
    printf("%-15s %zu\n", "set aside:", files_count_set_aside(vault.folder));
    if (vault.keys->has_older)
        printf("%-15s %lld\n", "older key:", census.older_key);
    return EXIT_DONE;
}

static const char *name_or_unknown(const char *name)
{
    return name ? name : "?";
}

/* What a program that loads the identity would find wrong. */
static const char *find_fault(const struct aliyun_iot_identity *identity)
{
    CLEANUP(X509_free) X509 *leaf = identity_leaf(identity, NULL);
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = identity_key_pair(identity, NULL);

    if (!leaf || !key)
        return "its certificate or key cannot be read";
    if (!key_pair_check(leaf, key, NULL))
        return "its key does not belong to its certificate";
    return identity_not_after(identity) <= (int64_t)time(NULL) ? "its certificate has expired"
                                                               : NULL;
}

static int check(void *context, const struct vault *vault, const struct vault_entry *entry)
{
    struct census *census = context;
    const char *fault = entry->problem ? entry->problem : entry->fault;

    (void)vault;
    if (entry->identity)
        fault = find_fault(entry->identity);
    census->entries++;
    if (!fault)
        return EXIT_DONE;
    census->faults++;
    printf("%s: %s/%s: %s\n", entry->file_name, name_or_unknown(entry->names.product_key),
            name_or_unknown(entry->names.device_name), fault);
    return EXIT_DONE;
}

int vault_verify(const char *agent_file)
{
    VAULT_CLEANUP struct vault vault;
    struct census census = {.entries = 0};
    int status = vault_open(agent_file, false, &vault);

    if (status == EXIT_DONE)
        status = vault_visit(&vault, check, &census);
    if (status != EXIT_DONE)
        return status;
    printf("%s: %lld entries, %lld with a fault\n", vault.settings->vault_path, census.entries,
            census.faults);
    return census.faults ? EXIT_FAILED : EXIT_DONE;
}

struct purge {
    const char *pattern;
    long long count;
};

static int purge_if_it_matches(
        void *context, const struct vault *vault, const struct vault_entry *entry)
{
    struct purge *purge = context;
    CLEANUP(free) char *name = NULL;
    files_problem problem;

    if (!entry->names.device_name)
        return EXIT_DONE;
    if (asprintf(&name, "%s/%s", entry->names.product_key, entry->names.device_name) < 0) {
        name = NULL;
        return fail("out of memory");
    }
    if (!pattern_matches(purge->pattern, name))
        return EXIT_DONE;
    problem = files_remove(vault->folder, entry->file_name);
    if (problem)
        return fail("the vault %s: %s cannot be removed: %s", vault->settings->vault_path, name,
                problem);
    purge->count++;
    return EXIT_DONE;
}

int vault_purge(const char *agent_file, const char *pattern)
{
    VAULT_CLEANUP struct vault vault;
    struct purge purge = {.pattern = pattern};
    int status = vault_open(agent_file, true, &vault);

    if (status == EXIT_DONE)
        status = vault_visit(&vault, purge_if_it_matches, &purge);
    if (status == EXIT_DONE)
        printf("%lld removed\n", purge.count);
    return status;
}
