/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that holds a queue for all processes of a user. It is read, changed and written under
 * flock(2), which the kernel releases when a process dies. It is not mapped: a mapped file would
 * kill its reader with SIGBUS when somebody truncates it, or when the disk is full.
 */
#ifndef QUOTA_FILE_H
#define QUOTA_FILE_H

#include "cloud/quota_queue.h"

/* Where the file can be, in the order of preference. */
enum quota_folder {
    QUOTA_FOLDER_RUNTIME,   /* $XDG_RUNTIME_DIR/aliyun-iot, if XDG_RUNTIME_DIR is the user's own */
    QUOTA_FOLDER_TEMPORARY, /* /tmp/aliyun-iot-UID */
    QUOTA_FOLDER_COUNT
};

/*
 * Opens and locks the file in that folder, and makes both if needed. If they are the user's own but
 * others may use them, their mode is repaired. Waits a quarter of a second at most for the lock.
 * The queue of a file that is new, too short or of another boot of the machine is empty.
 * Returns a descriptor for quota_file_write() and quota_file_close(); or -1 with errno set.
 */
int quota_file_open(enum quota_folder folder, const char *name, struct quota_queue *queue);

/* Writes the queue. Returns false with errno set if the file does not hold the whole of it now. */
bool quota_file_write(int file, const struct quota_queue *queue);

/* Unlocks and closes the file. */
void quota_file_close(int file);

#endif
