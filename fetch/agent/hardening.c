/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hardening.h"

#include <sys/mman.h>
#include <sys/prctl.h>

void harden(struct rlimit *before)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, before) == 0) {
        limit = *before;
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
    prctl(PR_SET_DUMPABLE, 0);
    /* Under a limit, the agent would run out of memory that it has. */
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}
