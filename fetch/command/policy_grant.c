/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot policy grant and revoke: a rule in a file of its own that ends by itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <aliyun-iot/agent.h>

#include "base/text.h"
#include "command/command.h"
#include "command/policy.h"

static const char prefix[] = "grant-";
static const char suffix[] = ".conf";

enum { TIME_SIZE = sizeof("2026-01-01T00:00:00Z"), FOR_MAX_S = 366 * 24 * 3600 };

struct grant {
    const char *policy, *user, *devices, *operations, *duration, *reason;
    char *name, *path, *temporary;
    char end[TIME_SIZE];
};

static void grant_release(struct grant *grant)
{
    free(grant->name);
    free(grant->path);
    free(grant->temporary);
}

static int read_options(int argc, char **argv, struct grant *grant)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {
            {"--policy", &grant->policy},
            {"--user", &grant->user},
            {"--devices", &grant->devices},
            {"--operations", &grant->operations},
            {"--for", &grant->duration},
            {"--reason", &grant->reason},
    };
    size_t count = sizeof(options) / sizeof(options[0]);

    for (int index = 1; index < argc; index += 2) {
        size_t option = 0;

        while (option < count && strcmp(options[option].name, argv[index]) != 0)
            option++;
        if (option == count || index + 1 == argc || *options[option].value)
            return fail_usage("policy grant: unexpected \"%s\"; see aliyun-iot(1)", argv[index]);
        /* Each is one line of a file. */
        if (strpbrk(argv[index + 1], "\r\n"))
            return fail_usage("policy grant: the value of %s has a line break", argv[index]);
        *options[option].value = argv[index + 1];
    }
    for (size_t option = 1; option < count; option++)
        if (!*options[option].value)
            return fail_usage("policy grant needs %s; see aliyun-iot(1)", options[option].name);
    return EXIT_DONE;
}

/* Seconds; 0: it is no length of time. */
static time_t read_duration(const char *text)
{
    size_t digits = strspn(text, DIGITS);
    long number = digits > 0 && digits < 9 ? strtol(text, NULL, 10) : 0;
    const char *unit = text + digits;
    long unit_s = strcmp(unit, "s") == 0   ? 1
                  : strcmp(unit, "m") == 0 ? 60
                  : strcmp(unit, "h") == 0 ? 3600
                  : strcmp(unit, "d") == 0 ? 24 * 3600
                                           : 0;

    return unit_s > 0 && number <= FOR_MAX_S / unit_s ? number * unit_s : 0;
}

/* The folder policy.d beside the policy, with a slash at the end, is what the paths begin with. */
static bool make_paths(struct grant *grant, const char *name)
{
    const char *file = grant->policy ? grant->policy : POLICY_FILE;
    const char *slash = strrchr(file, '/');
    int folder_size = slash ? (int)(slash + 1 - file) : 0;

    if (!grant->name)
        grant->name = strdup(name);
    if (asprintf(&grant->path, "%.*spolicy.d/%s%s", folder_size, file, name, suffix) < 0)
        grant->path = NULL;
    if (asprintf(&grant->temporary, "%.*spolicy.d/.%s.new", folder_size, file, name) < 0)
        grant->temporary = NULL;
    return grant->name && grant->path && grant->temporary;
}

/* The name tells until when it counts; a random part makes it unique. */
static bool choose_name(struct grant *grant, time_t end)
{
    CLEANUP(free) char *name = NULL;
    unsigned char random[4];
    char moment[TIME_SIZE], digits[2 * sizeof(random) + 1];
    struct tm broken;

    if (!gmtime_r(&end, &broken) || getentropy(random, sizeof(random)) != 0)
        return false;
    strftime(grant->end, sizeof(grant->end), "%Y-%m-%dT%H:%M:%SZ", &broken);
    strftime(moment, sizeof(moment), "%Y%m%dT%H%M%SZ", &broken);
    text_write_hexadecimal(digits, random, sizeof(random));
    if (asprintf(&name, "%s%s-%s", prefix, moment, digits) < 0) {
        name = NULL;
        return false;
    }
    return make_paths(grant, name);
}

static bool write_rule(const struct grant *grant, FILE *stream)
{
    return fprintf(stream,
                   "# Made by aliyun-iot policy grant.\n"
                   "[rule/%s]\neffect = allow\nusers = %s\ndevices = %s\noperations = %s\n"
                   "not-after = %s\nreason = %s\n",
                   grant->name, grant->user, grant->devices, grant->operations, grant->end,
                   grant->reason) > 0 &&
           fflush(stream) == 0 && fsync(fileno(stream)) == 0;
}

static int write_file(const struct grant *grant)
{
    int descriptor = open(grant->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *stream = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    bool done = stream && fchmod(descriptor, 0644) == 0 && write_rule(grant, stream);
    int problem = errno;

    if (stream && fclose(stream) != 0 && done) {
        done = false;
        problem = errno;
    }
    if (done && rename(grant->temporary, grant->path) == 0)
        return EXIT_DONE;
    problem = done ? errno : problem;
    if (descriptor >= 0)
        unlink(grant->temporary);
    return fail("%s: %s", grant->path, strerror(problem));
}

/* The rule counts from the reload on; without one, the file is there for the next start. */
static int reload_agent(const char *what)
{
    static const char request[] = "{\"version\":1,\"operation\":\"reload\"}";
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    CLEANUP(free) char *answer = NULL;

    if (aliyun_iot_agent_request(NULL, request, &answer, &error))
        return EXIT_DONE;
    return fail("%s, but the agent did not read it: %s", what, aliyun_iot_error_message(error));
}

static int publish(const struct grant *grant)
{
    CLEANUP(policy_free) struct policy *policy = NULL;
    int status = write_file(grant);

    if (status != EXIT_DONE)
        return status;
    policy = load_policy_or_explain(grant->policy, geteuid());
    if (!policy) {
        unlink(grant->path);
        return fail("nothing was granted, since the policy would not load");
    }
    puts(grant->name);
    return reload_agent("the rule was written");
}

static int make_folder(const struct grant *grant)
{
    const char *slash = grant->path ? strrchr(grant->path, '/') : NULL;
    CLEANUP(free) char *folder = slash ? strndup(grant->path, (size_t)(slash - grant->path)) : NULL;

    if (!folder)
        return fail("out of memory");
    return mkdir(folder, 0755) == 0 || errno == EEXIST ? EXIT_DONE
                                                       : fail("%s: %s", folder, strerror(errno));
}

static int grant_for(struct grant *grant, time_t duration_s)
{
    int status;

    if (duration_s == 0)
        return fail_usage("--for takes a number and s, m, h or d, at most 366d");
    if (!choose_name(grant, time(NULL) + duration_s))
        return fail("out of memory");
    status = make_folder(grant);
    return status == EXIT_DONE ? publish(grant) : status;
}

int policy_grant(int argc, char **argv)
{
    struct grant grant = {.policy = NULL};
    int status = read_options(argc, argv, &grant);

    if (status == EXIT_DONE && grant.duration)
        status = grant_for(&grant, read_duration(grant.duration));
    grant_release(&grant);
    return status;
}

int policy_revoke(int argc, char **argv)
{
    struct grant grant = {.policy = NULL};
    const char *name = argc > 1 ? argv[argc - 1] : "";
    int status;

    if (argc == 4 && strcmp(argv[1], "--policy") == 0)
        grant.policy = argv[2];
    else if (argc != 2)
        return fail_usage("policy revoke takes the name of a grant; see aliyun-iot help policy");
    if (strncmp(name, prefix, strlen(prefix)) != 0 || name[strspn(name, ALPHANUMERIC "-")])
        return fail_usage("policy revoke takes a name that policy grant printed");
    if (!make_paths(&grant, name))
        status = fail("out of memory");
    else if (unlink(grant.path) != 0)
        status = fail("%s: %s", grant.path, strerror(errno));
    else
        status = reload_agent("the rule was removed");
    grant_release(&grant);
    return status;
}
