/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a vault: whole or not there, whoever dies at which moment, and nobody's but the
 * user's. Entries lie in folders that the first two characters of their names name. Nothing here
 * uses OpenSSL, so that a thread of the library can be outside its gate meanwhile (see process.h).
 *
 * The folder is opened for each use: a program may close descriptors that it does not know.
 */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "private/cleanup.h"

/* Files that are no entries. */
#define FILES_KEYS "keys"
#define FILES_AGENT_LOCK "agent.lock"

enum { FILES_SIZE_MAX = 1024 * 1024 }; /* bytes of a file: four times the cloud's longest answer */

/* Closes what files_open() opened. */
void files_close(const int *folder);
#define FILES_CLEANUP __attribute__((cleanup(files_close)))

/* A use that failed: what failed, as a constant phrase or one of strerror(). NULL: it did not. */
typedef const char *files_problem;

/*
 * Opens the folder of a vault, which must be the user's own and nobody else's to use. Returns NULL
 * with *folder set; or what is wrong.
 */
files_problem files_open(const char *path, int *folder);

/* Makes the folder of a vault, or takes one that is there and empty. Otherwise as files_open(). */
files_problem files_create(const char *path, int *folder);

/* A file that was read. */
struct file {
    unsigned char *bytes; /* of malloc(); NULL: there is no such file */
    size_t size;
    ino_t inode; /* with the time, the one that this writing of it made */
    struct timespec written;
};

/*
 * Reads a file. name: an entry's, or FILES_KEYS. *fault, if it is set, is a constant phrase: what
 * is there is no file that the vault wrote, such as a link, or others may read it.
 */
files_problem files_read(int folder, const char *name, struct file *file, const char **fault);

/*
 * Replaces a file, or makes it. When this returns NULL it is on the disk; otherwise the old file is
 * still there, if there was one.
 */
files_problem files_write(int folder, const char *name, const void *bytes, size_t size);

/*
 * Replaces a file that was read, as files_write() does. *was_changed: it is not the file that was
 * read any more, because somebody has replaced or removed it meanwhile; it is left alone.
 */
files_problem files_replace(int folder, const char *name, const struct file *read,
        const void *bytes, size_t size, bool *was_changed);

/* Removes a file. It need not be there. */
files_problem files_remove(int folder, const char *name);

/* Moves an entry out of the way, into the folder "set-aside", where nothing reads it. */
files_problem files_set_aside(int folder, const char *name);

/* How many files lie in "set-aside". */
size_t files_count_set_aside(int folder);

/*
 * Calls visit for the name of each entry, in no order, until it returns false. Files of other names
 * are passed over; but what a writer left that died more than an hour ago is removed.
 */
files_problem files_visit(
        int folder, bool (*visit)(void *context, const char *name), void *context);

/*
 * Takes the vault for an agent, for as long as the descriptor in *agent_lock is open. *is_taken:
 * another agent has it.
 */
files_problem files_lock_for_agent(int folder, int *agent_lock, bool *is_taken);

/*
 * Keeps other commands from changing the vault as a whole, as long as the folder is open.
 * *is_taken: one of them does already.
 */
files_problem files_lock_for_change(int folder, bool *is_taken);

#endif
