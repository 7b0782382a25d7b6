/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's server: connections on Unix sockets, a request at a time on each. A few threads serve
 * all of them. None waits for the cloud: a request that has to is put aside until its identity
 * comes, its deadline passes or its sender goes away.
 */
#ifndef SERVER_H
#define SERVER_H

#include "agent/metrics.h"

struct server;

/* service must outlive it. NULL with *error set. */
struct server *server_new(struct service *service, struct aliyun_iot_error **error);

/*
 * Takes a listening socket of type SOCK_SEQPACKET. name: of its section in agent.conf, for rules;
 * NULL: none; it must outlive the server. Returns 1; or 0 with *error set.
 */
int server_add_listener(
        struct server *server, int descriptor, const char *name, struct aliyun_iot_error **error);

/* Starts the threads, with the signals blocked that the caller has. Returns 1; or 0, *error set. */
int server_start(struct server *server, struct aliyun_iot_error **error);

struct server_counts server_counts(struct server *server);

/*
 * Ends requests that waited too long or whose sender is gone. To be called once descriptor
 * server_attention() can be read, and then every SERVER_SWEEP_MS for as long as it returns true.
 */
bool server_sweep(struct server *server);
int server_attention(const struct server *server);
enum { SERVER_SWEEP_MS = 100 };

/*
 * Takes no more connections and requests, waits until those under way have ended, or for five
 * seconds, and ends the threads. Returns whether all ended.
 */
bool server_stop(struct server *server);

/* After server_stop() returned true, or before server_start(). NULL is ignored. */
void server_free(struct server *server);
DEFINE_CLEANUP(struct server *, server_free);

#endif
