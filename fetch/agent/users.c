/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/users.h"

#include <stdlib.h>

/* A list: the users who are connected at a time are few. */
struct user *users_find(struct users *users, uid_t uid)
{
    struct user *user = users->first;

    while (user && user->uid != uid)
        user = user->next;
    if (user)
        return user;
    user = calloc(1, sizeof(*user));
    if (user) {
        user->uid = uid;
        user->next = users->first;
        users->first = user;
    }
    return user;
}

void users_settle(struct users *users, struct user *user)
{
    struct user **place = &users->first;

    if (user->connections > 0 || user->requests > 0)
        return;
    while (*place != user)
        place = &(*place)->next;
    *place = user->next;
    free(user);
}
