/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for an identity. They are put aside, and hold no thread, until the identity
 * comes, their deadline passes or their sender goes away.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "agent/answers.h"
#include "agent/operations.h"
#include "agent/peer.h"
#include "base/deadline.h"

enum { GRACE_MS = 500 /* for a call that timed out to say so itself */ };

static void signal_event(int descriptor)
{
    const uint64_t one = 1;

    /* It fails only if it is at its maximum, and then it is signalled. */
    if (write(descriptor, &one, sizeof(one)) < 0)
        return;
}

void peers_wake_one(struct peers *peers)
{
    signal_event(peers->ready);
}

static void put_aside(struct peers *peers, struct peer *peer)
{
    peer->waiting = WAITING_ASIDE;
    peer->previous_aside = NULL;
    peer->next_aside = peers->aside;
    if (peers->aside)
        peers->aside->previous_aside = peer;
    else
        signal_event(peers->attention);
    peers->aside = peer;
}

static void take_back(struct peers *peers, struct peer *peer)
{
    *(peer->previous_aside ? &peer->previous_aside->next_aside : &peers->aside) = peer->next_aside;
    if (peer->next_aside)
        peer->next_aside->previous_aside = peer->previous_aside;
}

/* With the lock held: some thread goes on with the request. */
static void make_ready(struct peers *peers, struct peer *peer)
{
    peer->next_aside = NULL;
    *(peers->ready_last ? &peers->ready_last->next_aside : &peers->ready_first) = peer;
    peers->ready_last = peer;
    signal_event(peers->ready);
}

/* A memory_waiter's done. */
static void identity_came(
        void *context, struct aliyun_iot_identity *identity, struct aliyun_iot_error *error)
{
    struct peer *peer = context;
    struct peers *peers = peer->peers;

    /* Before the request is put aside, only its own thread is told without a lock. */
    if (pthread_equal(pthread_self(), peer->starter)) {
        peer->identity = identity;
        peer->error = error;
        peer->told_at_once = true;
        return;
    }
    pthread_mutex_lock(&peers->lock);
    peer->identity = identity;
    peer->error = error;
    if (peer->waiting == WAITING_ASIDE) {
        take_back(peers, peer);
        make_ready(peers, peer);
    } else {
        peer->waiting = WAITING_CAME_SOON;
    }
    pthread_mutex_unlock(&peers->lock);
}

/* Returns whether the identity may be used as the request asks. */
static bool is_allowed(struct peer *peer)
{
    struct access *access = &peer->access;

    if (access->verdict == ACCESS_ALLOWED && peer->request.operation == OPERATION_SIGN)
        access_decide_signing(
                access, &peer->request, peer->identity, service_limits(peer->peers->service));
    return access->verdict == ACCESS_ALLOWED;
}

static void finish(struct peer *peer)
{
    if (peer->error)
        answer_error(peer->answer, peer->error);
    else if (!is_allowed(peer))
        access_refuse(&peer->access, peer->answer);
    else
        operation_answer_with(peer->peers->service, &peer->request, peer->identity, peer->answer);
    peer_send_answer(peer);
}

void peers_finish_one(struct peers *peers)
{
    struct peer *peer;
    uint64_t one;

    if (read(peers->ready, &one, sizeof(one)) < 0)
        return;
    pthread_mutex_lock(&peers->lock);
    peer = peers->ready_first;
    if (peer)
        peers->ready_first = peer->next_aside;
    if (!peers->ready_first)
        peers->ready_last = NULL;
    pthread_mutex_unlock(&peers->lock);
    if (peer)
        finish(peer);
}

void peer_resolve(struct peer *peer)
{
    struct peers *peers = peer->peers;
    CLEANUP(device_free) struct device *device = NULL;
    bool came;

    device = resolver_device(peer->resolver, peer->request.uri, &peer->error);
    if (device && !access_decide(&peer->access, peer->request.operation, device,
                          service_limits(peers->service),
                          resolver_settings(peer->resolver)->limit_operations))
        error_set_out_of_memory(&peer->error);
    peer->is_decided = !peer->error;
    if (peer->error || peer->access.verdict != ACCESS_ALLOWED) {
        finish(peer);
        return;
    }
    peer->starter = pthread_self();
    peer->waiter = (struct memory_waiter){.done = identity_came,
            .context = peer,
            .deadline = peer->deadline,
            .principal = peer->sender};
    resolver_request(peer->resolver, device, &peer->waiter);
    came = peer->told_at_once;
    peer->was_cached = came;
    if (!came) {
        pthread_mutex_lock(&peers->lock);
        came = peer->waiting == WAITING_CAME_SOON;
        if (!came)
            put_aside(peers, peer);
        pthread_mutex_unlock(&peers->lock);
    }
    if (came)
        finish(peer);
}

/* One that will send no more, but still reads, has not gone. */
static bool has_gone(const struct peer *peer)
{
    struct pollfd connection = {.fd = peer->watch.descriptor};

    return poll(&connection, 1, 0) > 0;
}

/* With the lock held. If the identity is about to come all the same, nothing is done. */
static void give_up(struct peers *peers, struct peer *peer, bool gone)
{
    if (!resolver_cancel(peer->resolver, &peer->waiter))
        return;
    peer->must_close = gone;
    error_set(&peer->error, ALIYUN_IOT_REASON_TIMEOUT,
            "the call was still under way at the end of timeout; try again, or raise timeout in "
            "the settings of the program that asks");
    take_back(peers, peer);
    make_ready(peers, peer);
}

bool peers_sweep(struct peers *peers)
{
    struct peer *peer, *next;
    uint64_t count;
    bool left;

    if (read(peers->attention, &count, sizeof(count)) < 0 && errno != EAGAIN)
        return false;
    pthread_mutex_lock(&peers->lock);
    for (peer = peers->aside; peer; peer = next) {
        bool gone = has_gone(peer);

        next = peer->next_aside;
        if (gone || deadline_left_ms(peer->deadline + GRACE_MS) == 0)
            give_up(peers, peer, gone);
    }
    left = peers->aside != NULL;
    pthread_mutex_unlock(&peers->lock);
    return left;
}
