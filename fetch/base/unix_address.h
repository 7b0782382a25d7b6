/* SPDX-License-Identifier: Apache-2.0 */
/* The address of a Unix socket in the file system, whose length is limited. */
#ifndef UNIX_ADDRESS_H
#define UNIX_ADDRESS_H

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Returns false if the path is too long: 107 bytes fit. */
static inline bool unix_address(const char *path, struct sockaddr_un *address)
{
    size_t size = strlen(path) + 1;

    if (size > sizeof(address->sun_path))
        return false;
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size);
    return true;
}

#endif
