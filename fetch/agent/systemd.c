/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/systemd.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unix_address.h"

/* A variable that is a number; 0 if it is none. */
static int64_t read_number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long long number;

    if (!text || *text < '0' || *text > '9')
        return 0;
    number = strtoll(text, &end, 10);
    return *end ? 0 : number;
}

static int option_of(int descriptor, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

static int check_socket(int descriptor, struct aliyun_iot_error **error)
{
    if (option_of(descriptor, SO_DOMAIN) != AF_UNIX ||
            option_of(descriptor, SO_TYPE) != SOCK_SEQPACKET ||
            option_of(descriptor, SO_ACCEPTCONN) != 1)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "descriptor %d, which systemd passed in, is no listening Unix socket; the socket "
                "unit needs ListenSequentialPacket= and a path",
                descriptor);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    return 1;
}

int systemd_take_sockets(struct aliyun_iot_error **error)
{
    int count = read_number("LISTEN_PID") == getpid() ? (int)read_number("LISTEN_FDS") : 0;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (int index = 0; index < count; index++)
        if (!check_socket(SYSTEMD_FIRST_DESCRIPTOR + index, error))
            return -1;
    return count;
}

void systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    int descriptor;

    if (!path || !*path || !unix_address(path, &address))
        return;
    /* The name of an abstract socket begins with a NUL. */
    if (*path == '@')
        address.sun_path[0] = '\0';
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    sendto(descriptor, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(descriptor);
}

int64_t systemd_watchdog_ms(void)
{
    int64_t pid = getenv("WATCHDOG_PID") ? read_number("WATCHDOG_PID") : getpid();

    return pid == getpid() ? read_number("WATCHDOG_USEC") / 1000 : 0;
}
