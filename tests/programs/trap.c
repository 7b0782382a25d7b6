/* SPDX-License-Identifier: Apache-2.0 */
/* A library that creates the file which TRAP names in whatever process loads it. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void spring(void)
{
    const char *path = getenv("TRAP");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;

    if (file >= 0)
        close(file);
}
