/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/agent_protocol.h"
#include "base/deadline.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/unix_address.h"

enum { FIRST_DESCRIPTOR = 3 /* a program that closed 0, 1 or 2 may still write there */ };

static bool is_still_its_socket(const struct connection *connection)
{
    struct stat status;

    return fstat(connection->descriptor, &status) == 0 && status.st_dev == connection->device &&
           status.st_ino == connection->inode;
}

void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    if (connection->descriptor >= 0 && is_still_its_socket(connection))
        close(connection->descriptor);
    free(connection);
}

/* Returns false with errno set. */
static bool make_socket(struct connection *connection)
{
    const int buffer_bytes = AGENT_PACKET_MAX_BYTES;
    struct stat status;
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int moved = made;

    if (made >= 0 && made < FIRST_DESCRIPTOR) {
        moved = fcntl(made, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
        close(made);
    }
    if (moved < 0 || fstat(moved, &status) != 0)
        return false;
    connection->descriptor = moved;
    connection->device = status.st_dev;
    connection->inode = status.st_ino;
    /* Large enough by default, unless the system says otherwise: then this asks for it. */
    setsockopt(moved, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    return true;
}

static int fail_timeout(struct aliyun_iot_error **error, const char *what)
{
    return error_set(error, ALIYUN_IOT_REASON_TIMEOUT,
            "%s before the end of timeout; see whether it runs and what it waits for (aliyun-iot "
            "agent status)",
            what);
}

static int fail_connect(int problem, const char *path, struct aliyun_iot_error **error)
{
    switch (problem) {
    case ENOENT:
    case ENOTDIR:
        return error_set(error, ALIYUN_IOT_REASON_AGENT,
                "the socket is missing; start aliyun-iot-agent, or correct the path (socket in "
                "section [agent] of aliyun-iot.conf, or ALIYUN_IOT_AGENT)");
    case ECONNREFUSED:
        return error_set(error, ALIYUN_IOT_REASON_AGENT,
                "nobody listens there any more; start aliyun-iot-agent");
    case EACCES:
    case EPERM:
        return error_set(error, ALIYUN_IOT_REASON_AGENT,
                "this user (uid %u) may not connect; see mode and group of the agent's socket",
                (unsigned)geteuid());
    case EPROTOTYPE:
    case ENOTSOCK:
        return error_set(error, ALIYUN_IOT_REASON_AGENT,
                "this is not the socket of an agent; correct the path");
    case EAGAIN:
        return fail_timeout(error, "the agent accepted no connection");
    default:
        return error_set(error, ALIYUN_IOT_REASON_AGENT, "cannot connect to %s: %s", path,
                strerror(problem));
    }
}

/* A full queue of connections makes connect() wait, for as long as SO_SNDTIMEO says. */
static int connect_by(int descriptor, const char *path, int64_t deadline)
{
    struct sockaddr_un address;
    int64_t left_ms;

    if (!unix_address(path, &address))
        return ENAMETOOLONG;
    while ((left_ms = deadline_left_ms(deadline)) > 0) {
        const struct timeval limit = {left_ms / 1000, left_ms % 1000 * 1000};

        if (setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
            return errno;
        if (connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0)
            return 0;
        if (errno != EINTR)
            return errno;
    }
    return EAGAIN;
}

/* An agent of the process's own user could read its memory anyway. */
static int check_listener(int descriptor, int64_t owner_uid, struct aliyun_iot_error **error)
{
    struct ucred listener;
    socklen_t size = sizeof(listener);
    CLEANUP(free) char *owner = NULL;

    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0)
        return error_set(error, ALIYUN_IOT_REASON_AGENT, "the kernel does not tell who listens: %s",
                strerror(errno));
    if (owner_uid == SETTINGS_OWNER_ANY || listener.uid == 0 || listener.uid == geteuid() ||
            listener.uid == owner_uid)
        return 1;
    if (owner_uid != SETTINGS_OWNER_SELF &&
            asprintf(&owner, " and uid %lld", (long long)owner_uid) < 0) {
        owner = NULL;
        return error_set_out_of_memory(error);
    }
    return error_set(error, ALIYUN_IOT_REASON_AGENT,
            "uid %u listens there, and only root%s the program's own uid %u%s are trusted; if this "
            "is the agent's own user, name it as owner in section [agent] of aliyun-iot.conf (any "
            "holds only for a socket that is named there too)",
            (unsigned)listener.uid, owner ? "," : " and", (unsigned)geteuid(), owner ? owner : "");
}

struct connection *connection_open(
        const char *path, int64_t owner_uid, int64_t deadline, struct aliyun_iot_error **error)
{
    CLEANUP(connection_free) struct connection *connection = calloc(1, sizeof(*connection));
    int problem;

    if (!connection) {
        error_set_out_of_memory(error);
        return NULL;
    }
    connection->descriptor = -1;
    connection->process = getpid();
    if (!make_socket(connection)) {
        error_set(error, ALIYUN_IOT_REASON_AGENT,
                "there can be no socket: %s; raise RLIMIT_NOFILE if the process has many files "
                "open",
                strerror(errno));
        return NULL;
    }
    problem = connect_by(connection->descriptor, path, deadline);
    if (problem) {
        fail_connect(problem, path, error);
        return NULL;
    }
    return check_listener(connection->descriptor, owner_uid, error) ? take(connection) : NULL;
}

bool connection_is_usable(const struct connection *connection)
{
    struct pollfd socket = {.fd = connection->descriptor, .events = POLLIN};

    /* An idle connection has nothing to read but its end. */
    return connection->process == getpid() && is_still_its_socket(connection) &&
           poll(&socket, 1, 0) == 0;
}

/* Waits until the socket has one of the events. Returns false at the deadline. */
static bool await(int descriptor, short events, int64_t deadline)
{
    struct pollfd socket = {.fd = descriptor, .events = events};

    for (;;) {
        int64_t left_ms = deadline_left_ms(deadline);
        int count = poll(&socket, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);

        if (count > 0)
            return true;
        if (left_ms == 0 || (count < 0 && errno != EINTR))
            return false;
    }
}

/*
 * The kernel attaches real ids; what a set-user-ID process does counts for its effective ones, so
 * such a process attaches them itself.
 */
static ssize_t send_packet(int descriptor, const BUF_MEM *packet)
{
    struct iovec bytes = {packet->data, packet->length};
    struct ucred sender = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
    union {
        char bytes[CMSG_SPACE(sizeof(sender))];
        struct cmsghdr header;
    } control = {{0}};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    if (sender.uid != getuid() || sender.gid != getgid()) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_CREDENTIALS;
        control.header.cmsg_len = CMSG_LEN(sizeof(sender));
        memcpy(CMSG_DATA(&control.header), &sender, sizeof(sender));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum exchange_result broken_or_failed(const char *what, struct aliyun_iot_error **error)
{
    if (errno == EPIPE || errno == ECONNRESET)
        return EXCHANGE_BROKEN;
    error_set(error, ALIYUN_IOT_REASON_AGENT, "the %s failed: %s", what, strerror(errno));
    return EXCHANGE_FAILED;
}

static enum exchange_result send_by(
        int descriptor, const BUF_MEM *packet, int64_t deadline, struct aliyun_iot_error **error)
{
    while (send_packet(descriptor, packet) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return broken_or_failed("sending of the request", error);
        if (!await(descriptor, POLLOUT, deadline)) {
            fail_timeout(error, "the agent took no request");
            return EXCHANGE_FAILED;
        }
    }
    return EXCHANGE_DONE;
}

/* Reads the packet that is there. Returns its size; 0: the connection ended; or -1 with errno. */
static ssize_t receive_packet(int descriptor, BUF_MEM *packet)
{
    ssize_t size = recv(descriptor, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

    if (size <= 0)
        return size;
    if (size > AGENT_PACKET_MAX_BYTES) {
        errno = EMSGSIZE;
        return -1;
    }
    if (!BUF_MEM_grow_clean(packet, (size_t)size)) {
        errno = ENOMEM;
        return -1;
    }
    return recv(descriptor, packet->data, (size_t)size, MSG_DONTWAIT);
}

static enum exchange_result receive_by(
        int descriptor, int64_t deadline, BUF_MEM *packet, struct aliyun_iot_error **error)
{
    ssize_t size;

    do {
        if (!await(descriptor, POLLIN, deadline)) {
            fail_timeout(error, "the agent did not answer");
            return EXCHANGE_FAILED;
        }
        size = receive_packet(descriptor, packet);
    } while (size < 0 && (errno == EAGAIN || errno == EINTR));
    if (size > 0)
        return EXCHANGE_DONE;
    return size == 0 ? EXCHANGE_BROKEN : broken_or_failed("reading of the answer", error);
}

enum exchange_result connection_exchange(const struct connection *connection,
        const BUF_MEM *request, int64_t deadline, BUF_MEM *answer, struct aliyun_iot_error **error)
{
    enum exchange_result result = send_by(connection->descriptor, request, deadline, error);

    if (result == EXCHANGE_DONE)
        return receive_by(connection->descriptor, deadline, answer, error);
    /* An agent that refuses a connection says why before it closes it. */
    if (result == EXCHANGE_BROKEN && receive_packet(connection->descriptor, answer) > 0)
        return EXCHANGE_DONE;
    return result;
}
