/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's listening sockets: which ones agent.conf asks for, and how they are made. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <sys/types.h>

#include "base/error.h"

/* A section [socket/NAME]. */
struct agent_socket {
    struct agent_socket *next;
    char *name; /* NULL: it is no section's */
    char *path;
    mode_t mode; /* 0600 */
    gid_t group; /* (gid_t)-1: the agent's own */
    /* Of the file at path, once it is made. */
    dev_t device;
    ino_t inode;
};

/*
 * Reads the sections [socket/NAME] of an agent.conf, whose other sections settings_load_for_agent()
 * reads. *sockets becomes a list, to be freed by agent_sockets_free(); NULL: there is none. Returns
 * 1; or 0 with *error set, naming file and line.
 */
int agent_sockets_load(
        const char *file, struct agent_socket **sockets, struct aliyun_iot_error **error);
void agent_sockets_free(struct agent_socket *sockets);
DEFINE_CLEANUP(struct agent_socket *, agent_sockets_free);

/*
 * Makes a listening socket, which appears at its path with its mode and group, in place of one that
 * nobody listens on any more. Returns its descriptor; or -1 with *error set.
 */
int agent_socket_listen(struct agent_socket *socket, struct aliyun_iot_error **error);

/* Removes the file at the path, if it is still the one that was made. */
void agent_socket_remove(const struct agent_socket *socket);

#endif
