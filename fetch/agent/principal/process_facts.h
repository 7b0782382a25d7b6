/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc tells of a process on this machine: its systemd unit, and whether it is elsewhere. */
#ifndef PROCESS_FACTS_H
#define PROCESS_FACTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/policy/principal.h"

enum { UNIT_NAME_SIZE = 256 /* systemd's own limit, with a NUL */ };

struct process_facts {
    enum known has_unit;
    char unit[UNIT_NAME_SIZE];
    enum known is_in_a_container; /* in another user or pid namespace than this process */
};

/*
 * Reads the facts of a process. descriptor: a pidfd of it, which proves that all that was read is
 * about this process; -1: the kernel has none for a peer (before Linux 6.5), and then the process
 * must have the uid. What /proc does not tell, or is not about the process for sure, is unknown.
 */
void process_facts_read(pid_t process, int descriptor, uid_t uid, struct process_facts *facts);

/*
 * Asks the kernel for a pidfd of the process that connected. True with *descriptor, to be closed;
 * -1: the kernel has none. False: the process is gone.
 */
bool process_of_peer(int connection, int *descriptor);

/* Whether the kernel gives pidfds of peers, so that facts are proved to be theirs. */
bool process_facts_are_proved(void);

/*
 * The unit in the text of a /proc/PID/cgroup, which is changed: the first part of the path that is
 * a service or a scope. What comes below is the unit's own to make. Returns KNOWN_YES with *unit,
 * a part of the text; KNOWN_NO: it is in none; UNKNOWN: its group was removed.
 */
enum known unit_in_cgroups(char *text, const char **unit);

#endif
