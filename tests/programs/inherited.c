/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolves a URI, and becomes a program that lists its descriptors, which are those that a child
 * inherits, and the machine's TCP sockets:
 *
 *     inherited URI
 */
#include <unistd.h>

#include <aliyun-iot/identity.h>

int main(int argc, char **argv)
{
    struct aliyun_iot_identity *identity;

    if (argc != 2 || !aliyun_iot_identity_resolve(NULL, argv[1], &identity, NULL, NULL))
        return 2;
    execl("/bin/sh", "sh", "-c", "ls -l /proc/$$/fd; cat /proc/net/tcp /proc/net/tcp6",
            (char *)NULL);
    return 2;
}
