/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz harness includes. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <aliyun-iot/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a string of its own, so that a read past its end is seen. */
static inline char *text_of_input(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* A failure has an error with a printable message; a success has none. */
static inline void check_outcome(int succeeded, struct aliyun_iot_error *error)
{
    if (succeeded != (error == NULL))
        abort();
    if (error) {
        const char *message = aliyun_iot_error_message(error);

        if (!*message || strlen(message) > 1000)
            abort();
        for (; *message; message++)
            if (*message < ' ' || *message > '~')
                abort();
    }
    aliyun_iot_error_free(error);
}

#endif
