/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a PEM identity file, for programs that only read files: the certificate chain, and a block
 * with the URI in place of the private key. The file is replaced in one step, or not at all.
 */
#include "command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "base/text.h"

static const char identity_label[] = "ALIYUN-IOT IDENTITY";

static inline void stream_close(FILE *stream)
{
    fclose(stream);
}
DEFINE_CLEANUP(FILE *, stream_close);

static int write_identity(FILE *out, const struct aliyun_iot_identity *identity, const char *uri)
{
    size_t count = aliyun_iot_identity_certificate_count(identity);

    for (size_t index = 0; index < count; index++) {
        size_t size;
        const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);

        if (!PEM_write(out, PEM_STRING_X509, "", der, (long)size))
            return 0;
    }
    return PEM_write(out, identity_label, "", (const unsigned char *)uri, (long)strlen(uri)) &&
           fflush(out) == 0;
}

/* Opens a temporary file in the folder of path, so that rename(2) can replace path in one step. */
static FILE *open_beside(const char *path, char **temporary)
{
    FILE *out;
    int descriptor;

    if (asprintf(temporary, "%s.XXXXXX", path) < 0) {
        *temporary = NULL;
        return NULL;
    }
    descriptor = mkstemp(*temporary);
    if (descriptor < 0)
        return NULL;
    out = fdopen(descriptor, "w");
    if (!out) {
        close(descriptor);
        unlink(*temporary);
    }
    return out;
}

static int publish(FILE *out, const char *temporary, const char *path)
{
    return fchmod(fileno(out), 0644) == 0 && fsync(fileno(out)) == 0 &&
           rename(temporary, path) == 0;
}

static int write_file(const char *path, const struct aliyun_iot_identity *identity, const char *uri)
{
    CLEANUP(free) char *temporary = NULL;
    CLEANUP(stream_close) FILE *out = open_beside(path, &temporary);
    int problem;

    if (!out)
        return fail("%s: %s", path, strerror(errno));
    if (write_identity(out, identity, uri) && publish(out, temporary, path))
        return EXIT_DONE;
    problem = errno;
    unlink(temporary);
    errno = problem;
    return fail("%s: %s", path, strerror(errno));
}

/* Writes to a device such as /dev/stdout directly, because a rename would replace the device. */
static int write_to(const char *path, const struct aliyun_iot_identity *identity, const char *uri)
{
    CLEANUP(stream_close) FILE *out = NULL;
    struct stat status;

    if (!path)
        return write_identity(stdout, identity, uri) ? EXIT_DONE
                                                     : fail("standard output: %s", strerror(errno));
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return write_file(path, identity, uri);
    out = fopen(path, "we");
    if (!out || !write_identity(out, identity, uri))
        return fail("%s: %s", path, strerror(errno));
    return EXIT_DONE;
}

int command_pem(int argc, char **argv)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    const char *uri = NULL, *path = NULL;
    enum aliyun_iot_object object;

    for (int index = 1; index < argc; index++) {
        if (strcmp(argv[index], "-o") == 0) {
            if (path || ++index == argc)
                return fail_usage("-o takes one file; see aliyun-iot help pem");
            path = argv[index];
        } else if (argv[index][0] == '-' || uri) {
            return fail_usage("pem: unexpected \"%s\"; see aliyun-iot help pem", argv[index]);
        } else {
            uri = argv[index];
        }
    }
    if (!uri)
        return fail_usage("pem takes a URI; see aliyun-iot help pem");
    identity = resolve_or_explain(uri, &object);
    if (!identity)
        return EXIT_FAILED;
    if (object == ALIYUN_IOT_OBJECT_CERTIFICATE)
        return fail_usage("pem: a URI with object=cert cannot stand for a private key");
    return write_to(path, identity, uri);
}
