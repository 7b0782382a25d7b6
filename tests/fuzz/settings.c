/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aliyun_iot_error *error = NULL;
    struct settings *settings;
    char path[64];
    int file = memfd_create("settings", MFD_CLOEXEC);

    if (file < 0 || (size > 0 && write(file, data, size) != (ssize_t)size))
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    settings = settings_load(path, &error);
    if (settings && settings->endpoint && strncmp(settings->endpoint, "https://", 8) != 0)
        abort();
    check_outcome(settings != NULL, error);
    settings_free(settings);
    close(file);
    return 0;
}
