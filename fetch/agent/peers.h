/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to the agent. At any moment a connection belongs to one thread, or to the epoll
 * that waits for its next packet, or is put aside because its request waits for an identity.
 */
#ifndef PEERS_H
#define PEERS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "agent/metrics.h"

/* What the server's epoll reports of. Its address is the event's data. */
struct peer_watch {
    enum { PEER_WATCH_PEER, PEER_WATCH_LISTENER, PEER_WATCH_READY } kind;
    int descriptor;
};

struct peers;

/* events: the server's epoll. service must outlive it. NULL with errno set. */
struct peers *peers_new(struct service *service, int events);

/* No thread may serve any more. Closes all connections. NULL is ignored. */
void peers_free(struct peers *peers);

/*
 * Takes a connection that was accepted on a socket of this name, or NULL; refuses it if its user
 * has too many.
 */
void peers_add(struct peers *peers, int descriptor, const char *socket_name);

/* Serves the peer that watched is part of. buffer: room for a packet. */
void peers_serve(struct peer_watch *watched, char *buffer);

/*
 * An eventfd, for the server's epoll: each time that it can be read, a thread calls
 * peers_finish_one(), which goes on with one request whose identity has come.
 */
int peers_ready(const struct peers *peers);
void peers_finish_one(struct peers *peers);

/* Makes one thread call peers_finish_one() for nothing. */
void peers_wake_one(struct peers *peers);

/* See server_sweep() and server_attention(). */
bool peers_sweep(struct peers *peers);
int peers_attention(const struct peers *peers);

/* From now on, all requests are refused. */
void peers_stop(struct peers *peers);

struct server_counts peers_counts(struct peers *peers);

/* Whether no request is under way. */
bool peers_are_idle(struct peers *peers);

#endif
