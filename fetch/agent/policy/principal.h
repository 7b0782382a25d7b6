/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: what the kernel says of a local peer, or the certificate of a remote one. */
#ifndef PRINCIPAL_H
#define PRINCIPAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A fact that the kernel does not tell is unknown, which is something else than false or none. */
enum known { KNOWN_NO, KNOWN_YES, UNKNOWN };

struct principal {
    bool is_remote; /* only hosts counts then; else all the others */

    bool has_uid; /* false: unknown */
    uid_t uid;
    const gid_t *groups; /* the primary one too, in any order */
    size_t group_count;
    bool has_all_groups; /* false: there may be others */
    enum known has_unit;
    const char *unit; /* of KNOWN_YES */
    enum known has_socket;
    const char *socket;           /* of KNOWN_YES: NAME of [socket/NAME] */
    enum known is_in_a_container; /* in another user or pid namespace than the agent's */

    const char *const *hosts; /* the dNSNames of a verified certificate, in lower case */
    size_t host_count;
};

#endif
