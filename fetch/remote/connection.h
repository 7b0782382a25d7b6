/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to the agent on this machine: a Unix socket of type SOCK_SEQPACKET, on which a
 * packet is a message, whole or not at all. The protocol is described in
 * conf/man/aliyun-iot-agent-protocol.7.
 *
 * The kernel shows the agent who sends each packet, so a connection serves on after its process
 * changed its user or its root folder.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

/* Of the pool that it belongs to, which locks next and is_busy. */
struct connection {
    struct connection *next;
    bool is_busy;
    int descriptor;
    pid_t process; /* that opened it; a child opens its own */
    /* The socket's own, by which to notice that the program closed it and uses its number anew. */
    dev_t device;
    ino_t inode;
};

/*
 * Connects to the socket at path by the deadline (see deadline.h). Sends nothing to a listener that
 * belongs to another user than root and owner_uid, which is as in struct settings. Returns the
 * connection, to be freed by connection_free(); or NULL with *error set (AGENT, TIMEOUT).
 */
struct connection *connection_open(
        const char *path, int64_t owner_uid, int64_t deadline, struct aliyun_iot_error **error);

/* Closes the descriptor, if it is still the connection's own. NULL is ignored. */
void connection_free(struct connection *connection);
DEFINE_CLEANUP(struct connection *, connection_free);

/* Whether an idle connection can be used: the agent did not close it, and it is this process's. */
bool connection_is_usable(const struct connection *connection);

enum exchange_result {
    EXCHANGE_DONE,
    EXCHANGE_BROKEN, /* the agent closed the connection, or ended; nothing else is known */
    EXCHANGE_FAILED  /* *error is set (TIMEOUT, AGENT) */
};

/*
 * Sends a request and waits for its answer, which replaces the content of answer. Only after
 * EXCHANGE_DONE can the connection be used again.
 */
enum exchange_result connection_exchange(const struct connection *connection,
        const BUF_MEM *request, int64_t deadline, BUF_MEM *answer, struct aliyun_iot_error **error);

#endif
