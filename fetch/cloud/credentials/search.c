/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/search.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/read_file.h"
#include "base/trace.h"

struct credentials *credentials_refuse(
        struct aliyun_iot_error **error, const char *place, const char *format, ...)
{
    va_list arguments;
    char *problem;

    va_start(arguments, format);
    if (vasprintf(&problem, format, arguments) < 0) {
        error_set_out_of_memory(error);
    } else {
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "%s: %s", place, problem);
        free(problem);
    }
    va_end(arguments);
    return NULL;
}

struct credentials *credentials_absent(
        struct aliyun_iot_error **error, const char *place, const char *problem)
{
    error_set(error, ALIYUN_IOT_REASON_NOT_FOUND, "%s: %s", place, problem);
    return NULL;
}

const char *credentials_environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && *value ? value : NULL;
}

bool credentials_environment_is_true(const char *name)
{
    const char *value = credentials_environment(name);

    return value && strcasecmp(value, "true") == 0;
}

bool credentials_external_is_disabled(void)
{
    const char *value = credentials_environment("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS");

    return value && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

const char *credentials_or_environment(const char *value, const char *name)
{
    return value && *value ? value : credentials_environment(name);
}

char *credentials_file(const char *variable, const char *path_in_home)
{
    const char *named = credentials_environment(variable);
    char *home, *path;

    if (named)
        return strdup(named);
    home = settings_home();
    if (!home || asprintf(&path, "%s/%s", home, path_in_home) < 0)
        path = NULL;
    free(home);
    return path;
}

BUF_MEM *credentials_read_file(
        const struct settings *settings, const char *path, struct aliyun_iot_error **error)
{
    struct stat status;
    bool known = stat(path, &status) == 0;

    if (!known && (errno == ENOENT || errno == ENOTDIR)) {
        credentials_absent(error, path, strerror(errno));
        return NULL;
    }
    /* Alibaba Cloud's own tools read such a file too. */
    if (known && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)))
        trace(settings, TRACE_INFO, "warning: others may read file=%s mode=%03o", path,
                (unsigned)status.st_mode & 0777);
    return read_file(path, PROFILE_FILE_MAX_BYTES, ALIYUN_IOT_REASON_NO_CREDENTIALS, error);
}
