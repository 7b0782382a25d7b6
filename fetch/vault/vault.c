/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/vault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include <openssl/err.h>

#include "base/identity_record.h"
#include "base/process.h"
#include "base/text.h"
#include "base/trace.h"
#include "vault/entry.h"
#include "vault/files.h"
#include "vault/key_source.h"
#include "vault/keys.h"

static const char lost_keys[] = "the vault was sealed with another key meanwhile, or is not there";

/* Keys that were read from the vault. Some call may still use those before them. */
struct generation {
    struct vault_keys *keys;
    struct generation *before;
};

struct vault {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const struct settings *settings;
    struct source *upstream;
    struct sealing_key own; /* that the settings name */
    struct generation *_Atomic newest;
};

/* One device's entry, while it is looked at. */
struct place {
    struct vault *vault;
    const struct device *device;
    BUF_MEM *names;
    char file_name[ENTRY_FILE_NAME_SIZE];
};

static struct bytes bytes_of(const BUF_MEM *buffer)
{
    return (struct bytes){(const unsigned char *)buffer->data, buffer->length};
}

static void say(const struct place *place, enum trace_level level, const char *what)
{
    trace(place->vault->settings, level, "vault product=%s device=%s result=%s",
            place->device->product_key, place->device->device_name, what);
}

/* Something that an administrator should see, although the caller is served all the same. */
static void report(const struct place *place, const char *what, const char *problem)
{
    const struct settings *settings = place->vault->settings;

    trace(settings, TRACE_ERROR, "vault product=%s device=%s %s: %s", place->device->product_key,
            place->device->device_name, what, problem);
    syslog(LOG_WARNING, "aliyun-iot: vault %.300s: %s/%s %s: %s", settings->vault_path,
            place->device->product_key, place->device->device_name, what, problem);
}

static void generations_free(struct generation *generation)
{
    while (generation) {
        struct generation *before = generation->before;

        vault_keys_free(generation->keys);
        free(generation);
        generation = before;
    }
}

static int open_folder(
        const struct settings *settings, int *folder, struct aliyun_iot_error **error)
{
    files_problem problem = WAIT_OUTSIDE(files_open(settings->vault_path, folder));

    return problem ? error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                             "the vault %.300s: %s; aliyun-iot vault init makes one",
                             settings->vault_path, problem)
                   : 1;
}

static struct vault_keys *load_keys(const struct vault *vault, struct aliyun_iot_error **error)
{
    FILES_CLEANUP int folder = -1;

    return open_folder(vault->settings, &folder, error)
                   ? vault_keys_load(folder, vault->settings->vault_path, &vault->own, error)
                   : NULL;
}

/*
 * The keys as the vault has them now: while it is sealed anew with another key, its file tells that
 * one too. NULL with *error set.
 */
static const struct vault_keys *read_keys(struct vault *vault, struct aliyun_iot_error **error)
{
    CLEANUP(vault_keys_free) struct vault_keys *keys = load_keys(vault, error);
    struct generation *generation;

    if (!keys)
        return NULL;
    if (vault->newest && vault_keys_equal(vault->newest->keys, keys))
        return vault->newest->keys;
    generation = calloc(1, sizeof(*generation));
    if (!generation) {
        error_set_out_of_memory(error);
        return NULL;
    }
    generation->keys = take(keys);
    generation->before = vault->newest;
    while (!atomic_compare_exchange_weak(&vault->newest, &generation->before, generation))
        ;
    return generation->keys;
}

/* The key with the id. *problem: why there is none, although the vault may have it. */
static const struct sealing_key *find_key(
        struct vault *vault, const unsigned char *id, const char **problem)
{
    const struct sealing_key *key = vault_keys_find(vault->newest->keys, id);
    const struct vault_keys *keys;

    if (key)
        return key;
    keys = read_keys(vault, NULL);
    if (!keys)
        *problem = lost_keys;
    return keys ? vault_keys_find(keys, id) : NULL;
}

/*
 * The identity in a file of the vault. NULL: *fault says what is wrong with the file; or *problem,
 * what is wrong beside it.
 */
static struct aliyun_iot_identity *open_entry(const struct place *place, const struct file *file,
        const char **fault, const char **problem)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
    struct aliyun_iot_identity *identity = NULL;
    const struct sealing_key *key;
    struct sealed sealed;
    bool lacks_memory = false;
    int done;

    *fault = *problem = NULL;
    if (!content || !sealed_parse((struct bytes){file->bytes, file->size}, &sealed)) {
        *(content ? fault : problem) = content ? "it is damaged" : "out of memory";
        return NULL;
    }
    if (sealed.names.left != place->names->length ||
            memcmp(sealed.names.at, place->names->data, sealed.names.left) != 0) {
        *fault = "it belongs to another device";
        return NULL;
    }
    key = find_key(place->vault, sealed.id, problem);
    if (!key) {
        *fault = *problem ? NULL : "it is sealed with a key that is not the vault's";
        return NULL;
    }
    done = unseal(key, &sealed, content, NULL);
    if (done == 1)
        identity = identity_record_read(bytes_of(content), &lacks_memory);
    if (done < 0 || lacks_memory)
        *problem = "there was no memory, or OpenSSL failed";
    else if (!identity)
        *fault = "it is damaged";
    return identity;
}

static void set_aside(const struct place *place, int folder, const char *fault)
{
    files_problem problem = WAIT_OUTSIDE(files_set_aside(folder, place->file_name));

    report(place, problem ? "could not be set aside" : "was set aside, to be fetched again",
            problem ? problem : fault);
}

/* The sealed identity, if there is one that can be used. */
static struct aliyun_iot_identity *read_entry(const struct place *place)
{
    FILES_CLEANUP int folder = -1;
    struct aliyun_iot_identity *identity = NULL;
    struct file file = {.bytes = NULL};
    const char *fault = NULL, *problem;

    problem = WAIT_OUTSIDE(files_open(place->vault->settings->vault_path, &folder));
    if (!problem)
        problem = WAIT_OUTSIDE(files_read(folder, place->file_name, &file, &fault));
    if (file.bytes)
        identity = open_entry(place, &file, &fault, &problem);
    free(file.bytes);
    if (fault)
        set_aside(place, folder, fault);
    else if (problem)
        report(place, "could not be read", problem);
    return identity;
}

/* Returns NULL; or why it was not kept. */
static const char *keep(
        const struct place *place, const struct aliyun_iot_identity *identity, BUF_MEM *sealed)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *record = BUF_MEM_new();
    FILES_CLEANUP int folder = -1;
    const char *problem = record ? identity_record_write(identity, record) : "out of memory";
    const struct vault_keys *keys = problem ? NULL : read_keys(place->vault, NULL);

    if (problem)
        return problem;
    if (!keys)
        return lost_keys;
    if (!seal(&keys->now, bytes_of(place->names), bytes_of(record), sealed, NULL))
        return "OpenSSL failed";
    problem = WAIT_OUTSIDE(files_open(place->vault->settings->vault_path, &folder));
    if (!problem)
        problem = WAIT_OUTSIDE(files_write(folder, place->file_name, sealed->data, sealed->length));
    return problem;
}

static void write_entry(const struct place *place, const struct aliyun_iot_identity *identity)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *sealed = BUF_MEM_new();
    const char *problem = sealed ? keep(place, identity, sealed) : "out of memory";

    if (problem)
        report(place, "could not be kept", problem);
    else
        say(place, TRACE_DEBUG, "kept");
}

static void remove_entry(const struct place *place)
{
    FILES_CLEANUP int folder = -1;
    files_problem problem = WAIT_OUTSIDE(files_open(place->vault->settings->vault_path, &folder));

    if (!problem)
        problem = WAIT_OUTSIDE(files_remove(folder, place->file_name));
    if (problem)
        report(place, "could not be removed, although the cloud does not give it any more",
                problem);
    else
        say(place, TRACE_DEBUG, "removed");
}

/* Whether the identity may be served. background: whether it makes a refresh needless. */
static bool is_good_for(const struct settings *settings, const struct aliyun_iot_identity *identity,
        bool background)
{
    int64_t now = (int64_t)time(NULL);
    int64_t age_ms = (now - identity_fetched(identity)) * 1000;

    if (identity_not_before(identity) > now || identity_not_after(identity) <= now)
        return false;
    /* A clock that was ahead then, or is behind now, says nothing about the age. */
    if (age_ms < 0)
        return !background;
    return age_ms < settings->vault_ttl_ms + (background ? 0 : settings->vault_max_stale_ms);
}

static struct aliyun_iot_identity *fetch_from_upstream(const struct place *place, bool background,
        int64_t deadline, struct aliyun_iot_error **error)
{
    struct source *upstream = place->vault->upstream;
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    struct aliyun_iot_identity *identity =
            upstream->fetch(upstream, place->device, background, deadline, &problem);
    enum aliyun_iot_reason reason;

    if (identity) {
        write_entry(place, identity);
        return identity;
    }
    reason = aliyun_iot_error_reason(problem);
    if (reason == ALIYUN_IOT_REASON_NOT_FOUND || reason == ALIYUN_IOT_REASON_REFUSED)
        remove_entry(place);
    if (error)
        *error = take(problem);
    return NULL;
}

static int find_place(struct place *place, struct aliyun_iot_error **error)
{
    const struct entry_names names =
            entry_names_of(place->vault->settings->quota_account, place->device);

    place->names = BUF_MEM_new();
    if (!place->names || !entry_names_write(&names, place->names))
        return error_set_out_of_memory(error);
    return entry_file_name(bytes_of(place->names), place->file_name, error);
}

static struct aliyun_iot_identity *serve(const struct place *place, bool background,
        int64_t deadline, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = read_entry(place);

    if (identity && is_good_for(place->vault->settings, identity, background)) {
        say(place, TRACE_DEBUG, "hit");
        return take(identity);
    }
    say(place, TRACE_DEBUG, identity ? "old" : "miss");
    return fetch_from_upstream(place, background, deadline, error);
}

static struct aliyun_iot_identity *vault_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct place place = {.vault = (struct vault *)source, .device = device};
    struct aliyun_iot_identity *identity = NULL;

    ERR_set_mark();
    if (find_place(&place, error))
        identity = serve(&place, background, deadline, error);
    ERR_pop_to_mark();
    BUF_MEM_free(place.names);
    return identity;
}

static void vault_free(struct source *source)
{
    struct vault *vault = (struct vault *)source;

    source_free(vault->upstream);
    generations_free(vault->newest);
    OPENSSL_clear_free(vault, sizeof(*vault));
}

static int read_own_key(
        struct vault *vault, const struct key_wrapper *wrapper, struct aliyun_iot_error **error)
{
    FILES_CLEANUP int folder = -1;
    const struct settings *settings = vault->settings;
    const struct key_source source = {settings->vault_key, settings, wrapper};

    return open_folder(settings, &folder, error) &&
           vault_keys_own(folder, settings->vault_path, &source, &vault->own, error);
}

struct source *vault_source_new(const struct settings *settings, struct source *upstream,
        const struct key_wrapper *wrapper, struct aliyun_iot_error **error)
{
    CLEANUP(source_free) struct source *source = NULL;
    struct vault *vault = OPENSSL_zalloc(sizeof(*vault));

    if (!vault) {
        source_free(upstream);
        error_set_out_of_memory(error);
        return NULL;
    }
    source = &vault->source;
    *source = (struct source){vault_fetch, vault_free};
    vault->settings = settings;
    vault->upstream = upstream;
    return read_own_key(vault, wrapper, error) && read_keys(vault, error) ? take(source) : NULL;
}
