/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peers.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/answers.h"
#include "agent/packet.h"
#include "agent/peer.h"

/* For calls to the cloud, files and listeners. */
static const rlim_t spare_descriptors = 512;

/* So many that descriptors are left for the agent's own work. */
static int count_connections_max(void)
{
    struct rlimit limit;
    rlim_t most = 1024;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
            most = limit.rlim_cur;
    }
    most = most > 2 * spare_descriptors ? most - spare_descriptors : most / 2;
    return most > INT32_MAX ? INT32_MAX : (int)most;
}

struct peers *peers_new(struct service *service, int events)
{
    struct peers *peers = calloc(1, sizeof(*peers));

    if (!peers)
        return NULL;
    peers->service = service;
    peers->events = events;
    peers->connections_max = count_connections_max();
    peers->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    peers->attention = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&peers->lock, NULL);
    if (peers->ready >= 0 && peers->attention >= 0)
        return peers;
    peers_free(peers);
    return NULL;
}

int peers_ready(const struct peers *peers)
{
    return peers->ready;
}

int peers_attention(const struct peers *peers)
{
    return peers->attention;
}

static void destroy(struct peer *peer)
{
    packet_close(peer->watch.descriptor);
    peer_clear_request(peer);
    peer_facts_release(&peer->facts);
    BUF_MEM_free(peer->answer);
    free(peer);
}

void peer_remove(struct peer *peer)
{
    struct peers *peers = peer->peers;

    pthread_mutex_lock(&peers->lock);
    *(peer->previous ? &peer->previous->next : &peers->first) = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    peers->connections--;
    peer->user->connections--;
    users_settle(&peers->users, peer->user);
    pthread_mutex_unlock(&peers->lock);
    destroy(peer);
}

void peers_free(struct peers *peers)
{
    struct peer *peer;

    if (!peers)
        return;
    while ((peer = peers->first))
        peer_remove(peer);
    if (peers->ready >= 0)
        close(peers->ready);
    if (peers->attention >= 0)
        close(peers->attention);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

/* Which limit a new connection of a user would exceed; NULL: none. With the lock held. */
static const char *exceeded_limit(
        const struct peers *peers, const struct user *user, int64_t connections_max)
{
    if (peers->connections >= peers->connections_max)
        return "descriptors";
    return user->connections >= connections_max ? "connections" : NULL;
}

/* Returns false if a limit stands against it, with *limit set, or there is no memory. */
static bool admit(struct peers *peers, struct peer *peer, uid_t uid, const char **limit)
{
    CLEANUP(resolver_free) struct resolver *resolver = service_resolver(peers->service);
    int64_t connections_max = resolver_settings(resolver)->limit_connections;
    struct user *user;

    *limit = NULL;
    pthread_mutex_lock(&peers->lock);
    user = users_find(&peers->users, uid);
    if (user)
        *limit = exceeded_limit(peers, user, connections_max);
    if (user && !*limit) {
        peer->user = user;
        peer->next = peers->first;
        if (peer->next)
            peer->next->previous = peer;
        peers->first = peer;
        user->connections++;
        peers->connections++;
    } else if (user) {
        users_settle(&peers->users, user);
    }
    pthread_mutex_unlock(&peers->lock);
    return peer->user != NULL;
}

static void refuse_connection(int descriptor, const char *limit)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *answer = BUF_MEM_new();

    if (answer && limit) {
        answer_refuse(answer, "LIMITED", limit,
                strcmp(limit, "connections") == 0
                        ? "this user has as many connections as it may have (connections in "
                          "section [limits] of agent.conf)"
                        : "the agent has no descriptor for another connection; raise LimitNOFILE "
                          "of its systemd unit");
        packet_send(descriptor, answer->data, answer->length);
    }
    packet_close(descriptor);
}

bool peer_watch(struct peer *peer, int operation)
{
    struct epoll_event event = {
            .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = &peer->watch};
    int events = peer->peers->events, descriptor = peer->watch.descriptor;

    atomic_fetch_add(&peer->handovers, 1);
    return epoll_ctl(events, operation, descriptor, &event) == 0;
}

void peers_add(struct peers *peers, int descriptor, const char *socket_name)
{
    const int yes = 1;
    struct peer *peer = calloc(1, sizeof(*peer));
    const char *limit = NULL;

    if (peer) {
        peer->watch = (struct peer_watch){PEER_WATCH_PEER, descriptor};
        peer->peers = peers;
        peer->answer = BUF_MEM_new();
    }
    if (!peer || !peer->answer ||
            /* It may have connected before the listener had this. */
            setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0 ||
            !peer_facts_ask(descriptor, socket_name, &peer->facts) ||
            !admit(peers, peer, peer->facts.connected.uid, &limit)) {
        refuse_connection(descriptor, limit);
        if (peer) {
            peer_facts_release(&peer->facts);
            BUF_MEM_free(peer->answer);
        }
        free(peer);
    } else if (!peer_watch(peer, EPOLL_CTL_ADD)) {
        peer_remove(peer);
    }
}

void peers_stop(struct peers *peers)
{
    pthread_mutex_lock(&peers->lock);
    peers->stopping = true;
    pthread_mutex_unlock(&peers->lock);
}

struct server_counts peers_counts(struct peers *peers)
{
    struct server_counts counts;

    pthread_mutex_lock(&peers->lock);
    counts = (struct server_counts){peers->connections, peers->requests};
    pthread_mutex_unlock(&peers->lock);
    return counts;
}

bool peers_are_idle(struct peers *peers)
{
    bool idle;

    pthread_mutex_lock(&peers->lock);
    idle = peers->requests == 0;
    pthread_mutex_unlock(&peers->lock);
    return idle;
}
