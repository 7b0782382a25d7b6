/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/principal/overflow_id.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { USUAL_ID = 65534 };

static uid_t uid = USUAL_ID;
static gid_t gid = USUAL_ID;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned read_id(const char *file)
{
    FILE *stream = fopen(file, "re");
    char line[16] = "";
    unsigned long id = 0;

    if (stream) {
        if (fgets(line, sizeof(line), stream))
            id = strtoul(line, NULL, 10);
        fclose(stream);
    }
    return id > 0 ? (unsigned)id : USUAL_ID;
}

static void read_ids(void)
{
    uid = read_id("/proc/sys/kernel/overflowuid");
    gid = read_id("/proc/sys/kernel/overflowgid");
}

uid_t overflow_uid(void)
{
    pthread_once(&once, read_ids);
    return uid;
}

gid_t overflow_gid(void)
{
    pthread_once(&once, read_ids);
    return gid;
}
