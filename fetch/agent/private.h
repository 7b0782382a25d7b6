/* SPDX-License-Identifier: Apache-2.0 */
/* A private agent: for one command, on a socket in a folder of its own. */
#ifndef PRIVATE_H
#define PRIVATE_H

#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "agent/sockets.h"

/*
 * Makes a folder that only this user can enter, and the path of a socket in it. Returns the socket,
 * still to be listened on; or NULL with *error set.
 */
struct agent_socket *private_socket_new(struct aliyun_iot_error **error);

/* Removes the socket and its folder. */
void private_socket_remove(const struct agent_socket *socket);

/*
 * Starts the command with ALIYUN_IOT_AGENT set and without the variables that credentials are read
 * from. cores: its limit of cores. Before the agent has threads. Returns its process id; or -1 with
 * *error set, if there is no process or no such program.
 */
pid_t private_start(char **command, const char *socket, const struct rlimit *cores,
        struct aliyun_iot_error **error);

/* Hands a signal on, unless the terminal sent it, since then the command has it too. */
void private_pass_signal(pid_t command, const struct signalfd_siginfo *signal);

/* Ends this process as the command ended: with its status, or by the same signal. */
_Noreturn void private_end_as(int status);

#endif
