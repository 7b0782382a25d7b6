/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials_source.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/crypto.h>

#include "../background.h"
#include "../buffer.h"
#include "../deadline.h"
#include "../trace.h"

enum {
    REFRESH_AHEAD = 300, /* seconds before the expiry; the ecosystem's own clients take 180 */
    REFRESH_PAUSE = 30,  /* seconds between two refreshes that fail */
    REFRESH_TIME = 3000, /* milliseconds that a call waits for what it can do without */
    RESERVE = 2500,      /* milliseconds that one source leaves to those after it */
    PROBLEM_SHOWN = 180  /* bytes of each source's failure in the final message */
};

/* The ecosystem's default chain, in its order. The first that works is kept. */
static const struct {
    const char *name;
    credentials_source *find;
} sources[] = {
        {"environment", credentials_from_environment},
        {"oidc", credentials_from_oidc},
        {"cli-profile", credentials_from_cli_profile},
        {"ini-profile", credentials_from_ini_profile},
        {"ecs-metadata", credentials_from_ecs_metadata},
        {"credentials-uri", credentials_from_uri},
};

enum { SOURCE_COUNT = sizeof(sources) / sizeof(sources[0]) };

struct credentials_store {
    const struct settings *settings;
    struct http_client *http;
    pthread_mutex_t lock;
    struct credentials *current; /* NULL: none yet */
    bool rejected;               /* the service did not take current */
    int64_t refresh_at;          /* seconds since 1970: current is not asked for anew before */
    pthread_mutex_t search_lock; /* held by the one thread that asks the sources */
    size_t kept;                 /* the source that worked; SOURCE_COUNT: none yet */
};

static void free_secret(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials || __atomic_sub_fetch(&credentials->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(credentials->access_key_id);
    free_secret(credentials->access_key_secret);
    free_secret(credentials->security_token);
    free(credentials->source);
    free(credentials);
}

struct credentials *credentials_reference(struct credentials *credentials)
{
    __atomic_add_fetch(&credentials->references, 1, __ATOMIC_RELAXED);
    return credentials;
}

struct credentials *credentials_refuse(
        struct aliyun_iot_error **error, const char *place, const char *format, ...)
{
    va_list arguments;
    char *problem;

    va_start(arguments, format);
    if (vasprintf(&problem, format, arguments) < 0) {
        error_set_out_of_memory(error);
    } else {
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "%s: %s", place, problem);
        free(problem);
    }
    va_end(arguments);
    return NULL;
}

/* A blank or a control character would break, or split, a header. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

struct credentials *credentials_new(const char *access_key_id, const char *access_key_secret,
        const char *token, int64_t expiration, const char *place, struct aliyun_iot_error **error)
{
    CLEANUP(credentials_free) struct credentials *credentials = NULL;

    if (!access_key_id || !*access_key_id)
        return credentials_refuse(error, place, "the AccessKey id is missing");
    if (!access_key_secret || !*access_key_secret)
        return credentials_refuse(error, place, "the AccessKey secret is missing");
    if (!is_plain(access_key_id) || !is_plain(access_key_secret) || (token && !is_plain(token)))
        return credentials_refuse(error, place,
                "AccessKey id, secret or token holds a blank or another odd character");
    credentials = calloc(1, sizeof(*credentials));
    if (!credentials) {
        error_set_out_of_memory(error);
        return NULL;
    }
    credentials->references = 1;
    credentials->expiration = expiration;
    credentials->access_key_id = strdup(access_key_id);
    credentials->access_key_secret = strdup(access_key_secret);
    credentials->security_token = token && *token ? strdup(token) : NULL;
    credentials->source = strdup(place);
    if (!credentials->access_key_id || !credentials->access_key_secret || !credentials->source ||
            (token && *token && !credentials->security_token)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return take(credentials);
}

const char *credentials_environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && *value ? value : NULL;
}

void credentials_warn_if_shared(const struct settings *settings, const char *path)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
            (status.st_mode & (S_IRGRP | S_IROTH)))
        trace(settings, TRACE_INFO, "warning: others may read file=%s mode=%03o", path,
                (unsigned)status.st_mode & 0777);
}

char *credentials_file(const char *variable, const char *path_in_home)
{
    const char *named = credentials_environment(variable);
    char *home, *path;

    if (named)
        return strdup(named);
    home = settings_home();
    if (!home || asprintf(&path, "%s/%s", home, path_in_home) < 0)
        path = NULL;
    free(home);
    return path;
}

struct credentials_store *credentials_store_new(
        const struct settings *settings, struct http_client *http)
{
    struct credentials_store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->settings = settings;
    store->http = http;
    store->kept = SOURCE_COUNT;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->search_lock, NULL);
    return store;
}

void credentials_store_free(struct credentials_store *store)
{
    if (!store)
        return;
    credentials_free(store->current);
    pthread_mutex_destroy(&store->search_lock);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static int unknown_source(const struct settings *settings, struct aliyun_iot_error **error)
{
    char names[256] = "";

    for (size_t index = 0; index < SOURCE_COUNT; index++) {
        size_t size = strlen(names);

        snprintf(names + size, sizeof(names) - size, "%s%s", size ? ", " : "", sources[index].name);
    }
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "%s: source = %s is unknown; the sources are %s", settings->file,
            settings->credentials_source, names);
}

/* What was tried, and why each did not do. */
static int none_found(const char *problems, struct aliyun_iot_error **error)
{
    return error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
            "no AccessKey: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or "
            "run \"aliyun configure\" (tried %s)",
            problems);
}

/* Asks one source. Returns NULL after noting why it did not do; false in *noted: no memory. */
static struct credentials *ask_source(
        const struct credentials_search *search, size_t index, BUF_MEM *problems, bool *noted)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    struct credentials *found = sources[index].find(search, &problem);

    if (!found)
        *noted = problem && buffer_append_format(problems, "%s%.*s", problems->length ? "; " : "",
                                    PROBLEM_SHOWN, aliyun_iot_error_message(problem));
    return found;
}

/* A source that does not answer leaves some of the time to those after it, if there are any. */
static struct credentials_search share_time(const struct credentials_search *search, bool last)
{
    int64_t half = deadline_left(search->deadline) / 2;
    struct credentials_search share = *search;

    if (!last)
        share.deadline -= half < RESERVE ? half : RESERVE;
    return share;
}

/*
 * kept: the source that worked before and is asked first; receives the one that works now.
 * only_kept: it alone is asked, so that a bad moment does not lead to another account's AccessKey.
 */
static struct credentials *search_sources(const struct credentials_search *search, size_t *kept,
        bool only_kept, struct aliyun_iot_error **error)
{
    const char *pinned = search->settings->credentials_source;
    CLEANUP(BUF_MEM_free) BUF_MEM *problems = BUF_MEM_new();
    bool known = !pinned, noted = problems != NULL;
    struct credentials *found = NULL;

    if (noted && *kept < SOURCE_COUNT) {
        const struct credentials_search share = share_time(search, only_kept || pinned);

        found = ask_source(&share, *kept, problems, &noted);
    }
    for (size_t index = 0; !found && !only_kept && noted && index < SOURCE_COUNT; index++) {
        const struct credentials_search share =
                share_time(search, pinned || index + 1 == SOURCE_COUNT);

        if (index == *kept || (pinned && strcmp(pinned, sources[index].name) != 0))
            continue;
        known = true;
        found = ask_source(&share, index, problems, &noted);
        if (found)
            *kept = index;
    }
    if (found)
        return found;
    if (!known && *kept == SOURCE_COUNT)
        unknown_source(search->settings, error);
    else if (!noted || !buffer_text(problems))
        error_set_out_of_memory(error);
    else
        none_found(problems->data, error);
    return NULL;
}

static bool is_valid(const struct credentials *credentials)
{
    return credentials->expiration == 0 || credentials->expiration > (int64_t)time(NULL);
}

/* A reference to what the store has and need not ask for; else NULL. */
static struct credentials *get_fresh(struct credentials_store *store)
{
    struct credentials *credentials = NULL;

    pthread_mutex_lock(&store->lock);
    if (store->current && !store->rejected && (int64_t)time(NULL) < store->refresh_at)
        credentials = credentials_reference(store->current);
    pthread_mutex_unlock(&store->lock);
    return credentials;
}

/* What is still valid is better than nothing, if a refresh failed. */
static struct credentials *get_valid(struct credentials_store *store)
{
    struct credentials *credentials = NULL;

    pthread_mutex_lock(&store->lock);
    if (store->current && !store->rejected && is_valid(store->current))
        credentials = credentials_reference(store->current);
    pthread_mutex_unlock(&store->lock);
    return credentials;
}

static void keep(struct credentials_store *store, struct credentials *found)
{
    pthread_mutex_lock(&store->lock);
    credentials_free(store->current);
    store->current = credentials_reference(found);
    store->rejected = false;
    store->refresh_at = found->expiration ? found->expiration - REFRESH_AHEAD : INT64_MAX;
    pthread_mutex_unlock(&store->lock);
    trace(store->settings, TRACE_INFO, "credentials source=%s expiration=%lld", found->source,
            (long long)found->expiration);
}

/* Not with every call: while the source is out of reach, each would wait for it. */
static void postpone_refresh(
        struct credentials_store *store, const struct aliyun_iot_error *problem)
{
    pthread_mutex_lock(&store->lock);
    store->refresh_at = (int64_t)time(NULL) + REFRESH_PAUSE;
    pthread_mutex_unlock(&store->lock);
    trace(store->settings, TRACE_ERROR, "credentials refresh error=%s",
            aliyun_iot_error_message(problem));
}

/* For the thread that holds the search lock. */
static struct credentials *search_and_keep(
        struct credentials_store *store, int64_t deadline, struct aliyun_iot_error **error)
{
    struct credentials_search search = {store->settings, store->http, deadline};
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(credentials_free) struct credentials *valid = NULL;
    struct credentials *found = get_fresh(store);

    /* Another thread may have been here before. */
    if (found)
        return found;
    valid = get_valid(store);
    /* The call needs its time for itself, and can go on with what it has. */
    if (valid && deadline_left(deadline) > REFRESH_TIME)
        search.deadline = monotonic_milliseconds() + REFRESH_TIME;
    found = search_sources(&search, &store->kept, valid != NULL, &problem);
    if (found) {
        keep(store, found);
    } else if (valid) {
        postpone_refresh(store, problem);
        return take(valid);
    } else if (error) {
        *error = take(problem);
    }
    return found;
}

struct credentials *credentials_get(
        struct credentials_store *store, int64_t deadline, struct aliyun_iot_error **error)
{
    struct credentials *credentials = get_fresh(store);

    if (credentials)
        return credentials;
    /* One thread asks; the others go on with what is still valid, or wait for it. */
    if (pthread_mutex_trylock(&store->search_lock) != 0) {
        credentials = get_valid(store);
        if (credentials)
            return credentials;
        background_leave_gate();
        pthread_mutex_lock(&store->search_lock);
        background_enter_gate();
    }
    credentials = search_and_keep(store, deadline, error);
    pthread_mutex_unlock(&store->search_lock);
    return credentials;
}

void credentials_reject(struct credentials_store *store, const struct credentials *credentials)
{
    pthread_mutex_lock(&store->lock);
    if (store->current == credentials)
        store->rejected = true;
    pthread_mutex_unlock(&store->lock);
}

void credentials_store_lock(struct credentials_store *store)
{
    pthread_mutex_lock(&store->lock);
}

void credentials_store_unlock(struct credentials_store *store)
{
    pthread_mutex_unlock(&store->lock);
}

/* Whoever was asking the sources did not come along. */
void credentials_store_forked(struct credentials_store *store)
{
    pthread_mutex_init(&store->search_lock, NULL);
}
