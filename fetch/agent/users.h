/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the agent each user has at a time. Nothing here locks. */
#ifndef USERS_H
#define USERS_H

#include <sys/types.h>

struct user {
    uid_t uid;
    int connections, requests;
    struct user *next;
};

/* All zeros: nobody. */
struct users {
    struct user *first;
};

/* The entry of a user, which is made if there is none; NULL when out of memory. */
struct user *users_find(struct users *users, uid_t uid);

/* Forgets the user if it has nothing any more. */
void users_settle(struct users *users, struct user *user);

#endif
