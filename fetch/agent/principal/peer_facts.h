/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of a local peer, and the principal that it makes. */
#ifndef PEER_FACTS_H
#define PEER_FACTS_H

#include <stdint.h>
#include <sys/socket.h>

#include "agent/principal/process_facts.h"

/* For one thread at a time. */
struct peer_facts {
    int connection;
    struct ucred connected; /* who connected */
    gid_t *groups;          /* the supplementary ones; NULL: none or unknown */
    size_t group_count;
    bool has_groups;
    const char *socket_name; /* NULL: the socket has no name */
    struct process_facts process;
    int64_t read_ms;   /* when process was read, on the monotonic clock; 0: never */
    gid_t *all_groups; /* room for the groups of a principal */
};

/*
 * Asks the kernel who connected. socket_name must outlive *facts, which are to be released by
 * peer_facts_release() in every case. False if not even that is told.
 */
bool peer_facts_ask(int connection, const char *socket_name, struct peer_facts *facts);
void peer_facts_release(struct peer_facts *facts);

/*
 * The principal of a packet from sender, as the kernel names it. It is valid until the next call.
 * What was read in /proc is read again after a second.
 */
void peer_facts_principal(
        struct peer_facts *facts, const struct ucred *sender, struct principal *principal);

#endif
