/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/principal/peer_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/principal/overflow_id.h"
#include "base/deadline.h"

enum { PROCESS_FACTS_MAX_AGE_MS = 1000 };

/* Out of memory, they are unknown. */
static void ask_groups(int connection, struct peer_facts *facts)
{
    socklen_t size = 0;
    int result = getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, NULL, &size);

    if (result != 0 && errno == ERANGE) {
        facts->groups = malloc(size);
        result = facts->groups
                         ? getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, facts->groups, &size)
                         : -1;
    }
    facts->has_groups = result == 0;
    facts->group_count = facts->has_groups ? size / sizeof(gid_t) : 0;
    facts->all_groups = calloc(facts->group_count + 1, sizeof(gid_t));
}

bool peer_facts_ask(int connection, const char *socket_name, struct peer_facts *facts)
{
    socklen_t size = sizeof(facts->connected);

    *facts = (struct peer_facts){.connection = connection, .socket_name = socket_name};
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &facts->connected, &size) != 0)
        return false;
    ask_groups(connection, facts);
    return facts->all_groups != NULL;
}

void peer_facts_release(struct peer_facts *facts)
{
    free(facts->groups);
    free(facts->all_groups);
    *facts = (struct peer_facts){.groups = NULL};
}

static void refresh_process(struct peer_facts *facts)
{
    int64_t now_ms = monotonic_milliseconds();
    int descriptor = -1;
    pid_t process = facts->connected.pid;

    if (facts->read_ms > 0 && now_ms - facts->read_ms < PROCESS_FACTS_MAX_AGE_MS)
        return;
    facts->read_ms = now_ms;
    if (!process_of_peer(facts->connection, &descriptor))
        process = 0;
    process_facts_read(process, descriptor, facts->connected.uid, &facts->process);
    if (descriptor >= 0)
        close(descriptor);
}

static void add_groups(
        struct peer_facts *facts, const struct ucred *sender, struct principal *principal)
{
    bool is_same = sender->pid == facts->connected.pid && sender->uid == facts->connected.uid &&
                   sender->gid == facts->connected.gid;
    size_t count = 0;

    principal->has_all_groups = is_same && facts->has_groups;
    if (sender->gid != overflow_gid())
        facts->all_groups[count++] = sender->gid;
    else
        principal->has_all_groups = false;
    for (size_t index = 0; is_same && index < facts->group_count; index++) {
        if (facts->groups[index] != overflow_gid())
            facts->all_groups[count++] = facts->groups[index];
        else
            principal->has_all_groups = false;
    }
    principal->groups = facts->all_groups;
    principal->group_count = count;
}

void peer_facts_principal(
        struct peer_facts *facts, const struct ucred *sender, struct principal *principal)
{
    *principal = (struct principal){.has_uid = sender->uid != overflow_uid(),
            .uid = sender->uid,
            .has_unit = UNKNOWN,
            .is_in_a_container = UNKNOWN,
            .has_socket = facts->socket_name ? KNOWN_YES : KNOWN_NO,
            .socket = facts->socket_name};
    add_groups(facts, sender, principal);
    /* Another process uses the connection: what is known of the one that made it says nothing. */
    if (sender->pid != facts->connected.pid || sender->pid <= 0)
        return;
    refresh_process(facts);
    principal->has_unit = facts->process.has_unit;
    principal->unit = facts->process.unit;
    principal->is_in_a_container = facts->process.is_in_a_container;
}
