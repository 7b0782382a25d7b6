/* SPDX-License-Identifier: Apache-2.0 */
/* How a listening socket is made at its path, and removed. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/sockets.h"
#include "base/text.h"
#include "base/unix_address.h"

static int fail(const char *path, const char *problem, struct aliyun_iot_error **error)
{
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "socket %.200s: %s", path, problem);
    return -1;
}

/* Whether somebody listens there. */
static bool is_alive(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive = probe >= 0 &&
                 (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                         errno == EAGAIN);

    if (probe >= 0)
        close(probe);
    return alive;
}

/* NULL; or why a socket cannot be put there. */
static const char *check_place(const struct sockaddr_un *address)
{
    struct stat status;

    if (lstat(address->sun_path, &status) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISSOCK(status.st_mode))
        return "something else is there, which is left alone; remove it, or use another path";
    if (is_alive(address))
        return "another agent listens there; stop it, or use another path";
    return NULL;
}

static bool bind_and_listen(
        int descriptor, const struct sockaddr_un *address, struct agent_socket *socket)
{
    const int yes = 1;
    struct stat status;
    bool done;

    unlink(address->sun_path);
    /* Before anybody can connect: a connection has this from the listener that it was made by. */
    done = setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) == 0 &&
           bind(descriptor, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
           (socket->group == (gid_t)-1 ||
                   lchown(address->sun_path, (uid_t)-1, socket->group) == 0) &&
           chmod(address->sun_path, socket->mode) == 0 && listen(descriptor, SOMAXCONN) == 0 &&
           lstat(address->sun_path, &status) == 0;
    if (done) {
        socket->device = status.st_dev;
        socket->inode = status.st_ino;
    }
    return done;
}

/* It is made beside its path and then renamed, so that nobody sees it half made. */
static int listen_at(struct agent_socket *socket, int descriptor, const struct sockaddr_un *address,
        const struct sockaddr_un *beside, struct aliyun_iot_error **error)
{
    const char *problem = check_place(address);
    mode_t before;
    bool done;

    if (problem)
        return fail(socket->path, problem, error);
    before = umask(0177);
    done = bind_and_listen(descriptor, beside, socket) &&
           rename(beside->sun_path, address->sun_path) == 0;
    problem = strerror(errno);
    umask(before);
    if (done)
        return 0;
    unlink(beside->sun_path);
    return fail(socket->path, problem, error);
}

int agent_socket_listen(struct agent_socket *wanted, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *beside_path = NULL;
    struct sockaddr_un address, beside;
    int descriptor;

    if (asprintf(&beside_path, "%s.new", wanted->path) < 0) {
        beside_path = NULL;
        error_set_out_of_memory(error);
        return -1;
    }
    if (!unix_address(wanted->path, &address) || !unix_address(beside_path, &beside))
        return fail(wanted->path, "the path is too long; it may have 103 characters", error);
    descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return fail(wanted->path, strerror(errno), error);
    if (listen_at(wanted, descriptor, &address, &beside, error) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

void agent_socket_remove(const struct agent_socket *socket)
{
    struct stat status;

    if (lstat(socket->path, &status) == 0 && status.st_dev == socket->device &&
            status.st_ino == socket->inode)
        unlink(socket->path);
}
