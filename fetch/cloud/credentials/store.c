/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/deadline.h"
#include "base/process.h"
#include "base/trace.h"
#include "cloud/credentials/chain.h"

enum {
    REFRESH_AHEAD_S = 300,  /* before the expiry; the ecosystem's own clients take 180 s */
    REFRESH_PAUSE_S = 30,   /* between two refreshes that fail */
    REFRESH_WAIT_MS = 3000, /* that a call waits for a refresh that it can do without */
    REREAD_PAUSE_S = 5      /* between two readings because the service rejected the AccessKey */
};

struct credentials_store {
    const struct settings *settings;
    struct http_client *http;
    pthread_mutex_t lock;
    struct fork_participant fork;
    struct credentials *current;     /* NULL: none yet */
    bool rejected;                   /* the service did not take current */
    int64_t refresh_at_s;            /* seconds since 1970: current is not asked for anew before */
    pthread_mutex_t search_lock;     /* held by the one thread that asks the sources */
    const struct chain_source *kept; /* the source that worked; NULL: none yet */
    int64_t reread_at_s;             /* seconds since 1970: when the source was last read again */
};

/* The thread that was asking the sources is not in the child. */
static void forget_search(void *context)
{
    struct credentials_store *store = context;

    pthread_mutex_init(&store->search_lock, NULL);
}

struct credentials_store *credentials_store_new(
        const struct settings *settings, struct http_client *http)
{
    struct credentials_store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->settings = settings;
    store->http = http;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->search_lock, NULL);
    store->fork = (struct fork_participant){
            .lock = &store->lock, .reset_in_child = forget_search, .context = store};
    process_register(&store->fork);
    return store;
}

void credentials_store_free(struct credentials_store *store)
{
    if (!store)
        return;
    process_unregister(&store->fork);
    credentials_free(store->current);
    pthread_mutex_destroy(&store->search_lock);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static bool is_valid(const struct credentials *credentials)
{
    return credentials->expiration_s == 0 || credentials->expiration_s > (int64_t)time(NULL);
}

/* A reference to what the store has and need not ask for; else NULL. */
static struct credentials *get_fresh(struct credentials_store *store)
{
    struct credentials *credentials = NULL;

    pthread_mutex_lock(&store->lock);
    if (store->current && !store->rejected && (int64_t)time(NULL) < store->refresh_at_s)
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
    store->refresh_at_s = found->expiration_s ? found->expiration_s - REFRESH_AHEAD_S : INT64_MAX;
    pthread_mutex_unlock(&store->lock);
    trace(store->settings, TRACE_INFO, "credentials source=%s expiration=%lld", found->source,
            (long long)found->expiration_s);
}

/* Not with every call: while the source is out of reach, each would wait for it. */
static void postpone_refresh(
        struct credentials_store *store, const struct aliyun_iot_error *problem)
{
    pthread_mutex_lock(&store->lock);
    store->refresh_at_s = (int64_t)time(NULL) + REFRESH_PAUSE_S;
    pthread_mutex_unlock(&store->lock);
    trace(store->settings, TRACE_ERROR, "credentials refresh error=%s",
            aliyun_iot_error_message(problem));
}

/* For the thread that holds the search lock: no other replaces what this points to. */
static const struct credentials *get_rejected(struct credentials_store *store)
{
    const struct credentials *rejected;

    pthread_mutex_lock(&store->lock);
    rejected = store->rejected ? store->current : NULL;
    pthread_mutex_unlock(&store->lock);
    return rejected;
}

/* For the thread that holds the search lock. */
static struct credentials *search_chain(struct credentials_store *store,
        const struct credentials *rejected, int64_t deadline, struct aliyun_iot_error **error)
{
    return chain_search(store->settings, store->http, &store->kept, rejected, deadline, error);
}

/* For the thread that holds the search lock. */
static struct credentials *search_and_keep(
        struct credentials_store *store, int64_t deadline, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(credentials_free) struct credentials *valid = NULL;
    struct credentials *found = get_fresh(store);

    /* Another thread may have been here before. */
    if (found)
        return found;
    valid = get_valid(store);
    /* The call needs its time for itself, and can go on with what it has. */
    if (valid && deadline_left_ms(deadline) > REFRESH_WAIT_MS)
        deadline = monotonic_milliseconds() + REFRESH_WAIT_MS;
    found = search_chain(store, get_rejected(store), deadline, &problem);
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
        WAIT_OUTSIDE(pthread_mutex_lock(&store->search_lock));
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

static bool has_others(struct credentials_store *store, const struct credentials *credentials)
{
    bool others;

    pthread_mutex_lock(&store->lock);
    others = store->current && !credentials_equal(store->current, credentials);
    pthread_mutex_unlock(&store->lock);
    return others;
}

/* For the thread that holds the search lock. */
static bool find_others(
        struct credentials_store *store, const struct credentials *rejected, int64_t deadline)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(credentials_free) struct credentials *found = NULL;
    int64_t age_s = (int64_t)time(NULL) - store->reread_at_s;

    /* Another thread may have been here before. A clock that was set back ends the pause. */
    if (has_others(store, rejected))
        return true;
    if (age_s >= 0 && age_s < REREAD_PAUSE_S)
        return false;
    found = search_chain(store, rejected, deadline, &problem);
    store->reread_at_s = (int64_t)time(NULL);
    trace(store->settings, TRACE_INFO, "credentials read again: %s",
            !found                               ? aliyun_iot_error_message(problem)
            : credentials_equal(found, rejected) ? "they are the same"
                                                 : "they are others");
    if (!found || credentials_equal(found, rejected))
        return false;
    keep(store, found);
    return true;
}

bool credentials_reread(
        struct credentials_store *store, const struct credentials *credentials, int64_t deadline)
{
    bool others;

    WAIT_OUTSIDE(pthread_mutex_lock(&store->search_lock));
    others = find_others(store, credentials, deadline);
    pthread_mutex_unlock(&store->search_lock);
    return others;
}
