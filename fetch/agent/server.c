/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/server.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/peers.h"
#include "base/deadline.h"

enum {
    WORKERS_MAX = 64,
    LISTENERS_MAX = 64,
    STOP_WAIT_MS = 5000,
    ACCEPT_PAUSE_MS = 10 /* when there is no descriptor for a connection */
};

struct worker {
    struct server *server;
    pthread_t thread;
    char *buffer; /* for a packet */
};

struct listener {
    struct peer_watch watch; /* the first member, so that a pointer to it is one to this */
    const char *name;
};

struct server {
    struct peers *peers;
    int events;             /* an epoll: of listeners, peers and peers->ready */
    struct peer_watch wake; /* peers->ready */
    struct listener listeners[LISTENERS_MAX];
    int listener_count;
    struct worker workers[WORKERS_MAX];
    int worker_count;
    atomic_bool ended;
};

static bool watch(struct server *server, struct peer_watch *watched)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watched};

    return epoll_ctl(server->events, EPOLL_CTL_ADD, watched->descriptor, &event) == 0;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    for (int index = 0; index < server->listener_count; index++)
        close(server->listeners[index].watch.descriptor);
    for (int index = 0; index < server->worker_count; index++)
        free(server->workers[index].buffer);
    peers_free(server->peers);
    if (server->events >= 0)
        close(server->events);
    free(server);
}

struct server *server_new(struct service *service, struct aliyun_iot_error **error)
{
    CLEANUP(server_free) struct server *server = calloc(1, sizeof(*server));

    if (!server) {
        error_set_out_of_memory(error);
        return NULL;
    }
    server->events = epoll_create1(EPOLL_CLOEXEC);
    server->peers = peers_new(service, server->events);
    if (server->peers)
        server->wake = (struct peer_watch){PEER_WATCH_READY, peers_ready(server->peers)};
    if (server->events < 0 || !server->peers || !watch(server, &server->wake)) {
        error_set(error, ALIYUN_IOT_REASON_INTERNAL, "the server cannot be made: %s",
                strerror(errno));
        return NULL;
    }
    return take(server);
}

int server_add_listener(
        struct server *server, int descriptor, const char *name, struct aliyun_iot_error **error)
{
    const int yes = 1;
    struct listener *listener;

    if (server->listener_count == LISTENERS_MAX) {
        close(descriptor);
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "there are more than %d sockets; use fewer", LISTENERS_MAX);
    }
    listener = &server->listeners[server->listener_count++];
    *listener = (struct listener){{PEER_WATCH_LISTENER, descriptor}, name};
    /* systemd may not have asked for it. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0 ||
            !watch(server, &listener->watch))
        return error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                "the server cannot listen on its socket: %s", strerror(errno));
    return 1;
}

/* A listener is ready as long as peers wait there, so each worker accepts one at a time. */
static void accept_peer(struct server *server, const struct listener *listener)
{
    int descriptor = accept4(listener->watch.descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (descriptor >= 0)
        peers_add(server->peers, descriptor, listener->name);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        usleep(ACCEPT_PAUSE_MS * 1000);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct server *server = worker->server;

    while (!server->ended) {
        struct epoll_event event;
        struct peer_watch *watched;

        if (epoll_wait(server->events, &event, 1, -1) != 1)
            continue;
        watched = event.data.ptr;
        if (watched->kind == PEER_WATCH_LISTENER)
            accept_peer(server, (const struct listener *)watched);
        else if (watched->kind == PEER_WATCH_READY)
            peers_finish_one(server->peers);
        else
            peers_serve(watched, worker->buffer);
    }
    OPENSSL_thread_stop();
    return NULL;
}

static int count_processors(void)
{
    cpu_set_t processors;
    int count =
            sched_getaffinity(0, sizeof(processors), &processors) == 0 ? CPU_COUNT(&processors) : 1;

    return count > WORKERS_MAX ? WORKERS_MAX : count;
}

/* One more than there are processors: a reload reads files meanwhile. */
int server_start(struct server *server, struct aliyun_iot_error **error)
{
    int count = count_processors() + 1;

    for (int index = 0; index < count && index < WORKERS_MAX; index++) {
        struct worker *worker = &server->workers[index];
        int problem;

        worker->server = server;
        worker->buffer = malloc(AGENT_PACKET_MAX_BYTES);
        if (!worker->buffer)
            return error_set_out_of_memory(error);
        problem = pthread_create(&worker->thread, NULL, work, worker);
        if (problem) {
            free(worker->buffer);
            return error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                    "the server cannot start a thread: %s; raise RLIMIT_NPROC, or TasksMax of its "
                    "systemd unit",
                    strerror(problem));
        }
        server->worker_count++;
    }
    return 1;
}

struct server_counts server_counts(struct server *server)
{
    return peers_counts(server->peers);
}

bool server_sweep(struct server *server)
{
    return peers_sweep(server->peers);
}

int server_attention(const struct server *server)
{
    return peers_attention(server->peers);
}

bool server_stop(struct server *server)
{
    int64_t deadline = monotonic_milliseconds() + STOP_WAIT_MS;
    bool idle;

    for (int index = 0; index < server->listener_count; index++) {
        int descriptor = server->listeners[index].watch.descriptor;

        epoll_ctl(server->events, EPOLL_CTL_DEL, descriptor, NULL);
        close(descriptor);
    }
    server->listener_count = 0;
    peers_stop(server->peers);
    while (!(idle = peers_are_idle(server->peers)) && deadline_left_ms(deadline) > 0) {
        usleep(SERVER_SWEEP_MS * 1000 / 10);
        peers_sweep(server->peers);
    }
    server->ended = true;
    for (int index = 0; idle && index < server->worker_count; index++)
        peers_wake_one(server->peers);
    for (int index = 0; idle && index < server->worker_count; index++)
        pthread_join(server->workers[index].thread, NULL);
    return idle;
}
