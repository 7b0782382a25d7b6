/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/pin.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/process.h"
#include "vault/files.h"
#include "vault/secret_file.h"

enum {
    PIN_SIZE_MAX = 256,
    TURN_MAX_MS = 30 * 1000, /* an import takes some signatures' time */
    TURN_PAUSE_MS = 5
};

static const char whose_pin[] = "the token's PIN";

/* Where the PIN is; NULL with *error set. */
static const char *find_pin(const struct token_place *place, const struct token_uri *uri,
        struct aliyun_iot_error **error)
{
    const char *source = place->pin_source ? place->pin_source : token_uri_pin_source(uri);

    if (!source)
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PIN is not known: set pin-source in section [%s]", place->section);
    else if (strncmp(source, SECRET_FILE, strlen(SECRET_FILE)) == 0 ||
             strncmp(source, SECRET_SYSTEMD, strlen(SECRET_SYSTEMD)) == 0)
        return source;
    else
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PIN: expected file:PATH or systemd:NAME as pin-source");
    return NULL;
}

int token_pin_read(const struct token_place *place, const struct token_uri *uri, BUF_MEM *pin,
        struct stat *file, struct aliyun_iot_error **error)
{
    const char *source = find_pin(place, uri, error);
    FILES_CLEANUP int descriptor = source ? secret_file_open(source, whose_pin, error) : -1;
    size_t size;

    if (descriptor < 0)
        return 0;
    if (fstat(descriptor, file) != 0)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%s, %.300s: %s", whose_pin, source,
                strerror(errno));
    if (!secret_file_read(source, whose_pin, PIN_SIZE_MAX, pin, error))
        return 0;
    size = strcspn(pin->data, "\r\n");
    if (size > 0 && !memchr(pin->data, '\0', pin->length)) {
        pin->data[size] = '\0';
        return 1;
    }
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%s, %.300s: %s", whose_pin, source,
            size > 0 ? "it has a NUL character" : "it is empty");
}

int token_take_turn(const struct token_place *place, const struct token_uri *uri,
        struct aliyun_iot_error **error)
{
    const char *source = find_pin(place, uri, error);
    int file = source ? secret_file_open(source, whose_pin, error) : -1;
    int64_t deadline = monotonic_milliseconds() + TURN_MAX_MS;

    while (file >= 0 && flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK && deadline_left_ms(deadline) > 0) {
            process_sleep(TURN_PAUSE_MS);
            continue;
        }
        close(file);
        error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "another process has used the token for more than %d s; look at what holds "
                "the lock of the PIN's file",
                TURN_MAX_MS / 1000);
        return -1;
    }
    return file;
}
