/* SPDX-License-Identifier: Apache-2.0 */
/* Removes the temporary folder of a test. */
#ifndef FOLDER_H
#define FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline int folder_remove_entry(
        const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

/* Removes the folder with all that is in it. Returns 0, or another number on failure. */
static inline int folder_remove(const char *path)
{
    return nftw(path, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
