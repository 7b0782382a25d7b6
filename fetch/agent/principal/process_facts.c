/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/principal/process_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"

enum { FILE_MAX_BYTES = 64 * 1024, CHUNK_BYTES = 4096 };

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* asm-generic/socket.h, from Linux 6.5 on */
#endif

/* The number of the one that the machine was started with: PROC_CGROUP_INIT_INO of Linux. */
static const ino_t first_cgroup_namespace = 0xEFFFFFFB;

bool process_of_peer(int connection, int *descriptor)
{
    socklen_t size = sizeof(*descriptor);

    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, descriptor, &size) == 0)
        return true;
    *descriptor = -1;
    return errno == ENOPROTOOPT;
}

bool process_facts_are_proved(void)
{
    int pair[2], descriptor = -1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    process_of_peer(pair[0], &descriptor);
    if (descriptor >= 0)
        close(descriptor);
    close(pair[0]);
    close(pair[1]);
    return descriptor >= 0;
}

/* Returns the text of a file, to be freed; NULL if it cannot be read. */
static BUF_MEM *read_text(int folder, const char *name)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    int descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool done = text && descriptor >= 0;
    char chunk[CHUNK_BYTES];
    ssize_t size = 0;

    while (done && (size = read(descriptor, chunk, sizeof(chunk))) > 0)
        done = text->length < FILE_MAX_BYTES && buffer_append(text, chunk, (size_t)size);
    if (descriptor >= 0)
        close(descriptor);
    return done && size == 0 && buffer_text(text) ? take(text) : NULL;
}

static bool ends_in(const char *text, const char *suffix)
{
    size_t size = strlen(text), suffix_size = strlen(suffix);

    return size > suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

/* The path of the line of /proc/PID/cgroup that begins so, after its number; NULL: none. */
static char *path_in_hierarchy(char *text, const char *controllers)
{
    for (char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        line += strspn(line, "0123456789");
        if (strncmp(line, controllers, strlen(controllers)) == 0)
            return line + strlen(controllers);
    }
    return NULL;
}

enum known unit_in_cgroups(char *text, const char **unit)
{
    char *path = path_in_hierarchy(text, "::"), *rest = NULL, *end;

    /* Both hierarchies at once: systemd has its units in its own one. */
    if (!path || strncmp(path, "/\n", 2) == 0 || strcmp(path, "/") == 0)
        path = path_in_hierarchy(text, ":name=systemd:");
    if (!path)
        return KNOWN_NO;
    end = strchr(path, '\n');
    if (end)
        *end = '\0';
    /* The group was removed, and its name may be another's by now. */
    if (ends_in(path, " (deleted)"))
        return UNKNOWN;
    for (char *part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        if (!ends_in(part, ".service") && !ends_in(part, ".scope"))
            continue;
        /* systemd escapes some names so; see "Delegation" in its document CGROUP_DELEGATION. */
        *unit = part + (*part == '_');
        return KNOWN_YES;
    }
    return KNOWN_NO;
}

/* In another cgroup namespace, paths do not begin at the root of the machine. */
static bool sees_all_cgroups(void)
{
    struct stat status;

    return stat("/proc/self/ns/cgroup", &status) == 0 && status.st_ino == first_cgroup_namespace;
}

static enum known read_unit(int folder, char unit[UNIT_NAME_SIZE])
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = sees_all_cgroups() ? read_text(folder, "cgroup") : NULL;
    const char *found = NULL;
    enum known has_unit = text ? unit_in_cgroups(text->data, &found) : UNKNOWN;

    if (has_unit == KNOWN_YES && strlen(found) >= UNIT_NAME_SIZE)
        return UNKNOWN;
    if (has_unit == KNOWN_YES)
        memcpy(unit, found, strlen(found) + 1);
    return has_unit;
}

/* What follows a name at the beginning of a line of /proc/PID/status; NULL: there is none. */
static const char *status_line(const char *status, const char *name)
{
    const char *found = strstr(status, name);

    return found && (found == status || found[-1] == '\n') ? found + strlen(name) : NULL;
}

/* How many namespaces deep a process is, as far as they are seen; 0: that is not told. */
static int count_pid_namespaces(const char *status)
{
    const char *line = status_line(status, "NSpid:");
    int count = 0;

    while (line && *line && *line != '\n') {
        size_t blanks = strspn(line, "\t "), digits = strspn(line + blanks, "0123456789");

        if (digits == 0)
            break;
        count++;
        line += blanks + digits;
    }
    return count;
}

/* Of this process, which stays in its namespaces. */
static BUF_MEM *own_map;
static int own_depth;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;

static void read_own(void)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *status = read_text(AT_FDCWD, "/proc/self/status");

    own_map = read_text(AT_FDCWD, "/proc/self/uid_map");
    own_depth = status ? count_pid_namespaces(status->data) : 0;
}

/*
 * The names of namespaces cannot be read of another user's process, but these can: see
 * user_namespaces(7) and pid_namespaces(7).
 */
static enum known is_elsewhere(int folder, const char *status)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *map = read_text(folder, "uid_map");
    int depth = count_pid_namespaces(status);

    pthread_once(&own_once, read_own);
    if (!map || !own_map || depth == 0 || own_depth != 1)
        return UNKNOWN;
    return depth != own_depth || strcmp(map->data, own_map->data) != 0 ? KNOWN_YES : KNOWN_NO;
}

/* Whether the real or the effective uid of a process is this one. */
static bool has_uid(const char *status, uid_t uid)
{
    const char *line = status_line(status, "Uid:");
    char *end = NULL;
    unsigned long real = line ? strtoul(line, &end, 10) : 0;

    return line && end != line && (real == uid || strtoul(end, NULL, 10) == uid);
}

/*
 * If the first thread of a process has ended and others go on, the kernel shows the root of each
 * hierarchy of version 1 as its group.
 */
static bool has_first_thread(const char *status)
{
    const char *line = status_line(status, "State:");

    return line && !strchr("ZX", line[strspn(line, "\t ")]);
}

static bool is_running(int descriptor)
{
    struct pollfd process = {.fd = descriptor, .events = POLLIN};

    return poll(&process, 1, 0) == 0;
}

void process_facts_read(pid_t process, int descriptor, uid_t uid, struct process_facts *facts)
{
    const struct process_facts nothing = {.has_unit = UNKNOWN, .is_in_a_container = UNKNOWN};
    CLEANUP(BUF_MEM_free) BUF_MEM *status = NULL;
    char path[32];
    int folder;

    *facts = nothing;
    snprintf(path, sizeof(path), "/proc/%d", (int)process);
    folder = process > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0)
        return;
    facts->has_unit = read_unit(folder, facts->unit);
    /* After that, so that the thread was there when the unit was read. */
    status = read_text(folder, "status");
    if (status)
        facts->is_in_a_container = is_elsewhere(folder, status->data);
    if (status && !has_first_thread(status->data))
        facts->has_unit = UNKNOWN;
    /* The folder stays that of the process that was opened. */
    if (!status || (descriptor >= 0 ? !is_running(descriptor) : !has_uid(status->data, uid)))
        *facts = nothing;
    close(folder);
}
