/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that a command prints: mode External of the CLI's profiles. */
#include "credentials_temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../background.h"
#include "../buffer.h"
#include "../deadline.h"

enum {
    COMMAND_TIMEOUT = 60 * 1000, /* milliseconds, as the CLI allows */
    OUTPUT_MAX = 64 * 1024,      /* bytes */
    ARGUMENTS_MAX = 64,
    POLL_STEP = 100 /* milliseconds until the end of the process is noticed */
};

extern char **environ;

DEFINE_CLEANUP(char *, free);

/* Splits at blanks, as the CLI does: there is no shell, so nothing is expanded or quoted. */
static size_t split(char *command, char **arguments)
{
    size_t count = 0;
    char *state = NULL;

    for (char *word = strtok_r(command, " \t", &state); word && count < ARGUMENTS_MAX;
            word = strtok_r(NULL, " \t", &state))
        arguments[count++] = word;
    arguments[count] = NULL;
    return count;
}

/* The child gets the signals as a program expects them, and no input. */
static int spawn(pid_t *child, char **arguments, int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int failed;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failed = posix_spawnp(child, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Waits until there is something to read. Returns false at the deadline or the process's end. */
static bool await_output(int input, int64_t deadline)
{
    while (deadline_left(deadline) > 0 && !background_stopping()) {
        struct pollfd wanted = {.fd = input, .events = POLLIN};
        int ready;

        background_leave_gate();
        ready = poll(&wanted, 1, POLL_STEP);
        background_enter_gate();
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
    return false;
}

/* Returns NULL when all was read; or what was wrong. */
static const char *read_output(int input, int64_t deadline, BUF_MEM *output)
{
    for (;;) {
        size_t before = output->length;
        ssize_t got;

        if (before > OUTPUT_MAX)
            return "the command printed more than 64 KiB";
        if (!await_output(input, deadline))
            return "the command did not end in time";
        if (!BUF_MEM_grow_clean(output, before + 4096))
            return "there was no memory to read what the command printed";
        got = read(input, output->data + before, 4096);
        output->length = before + (size_t)(got > 0 ? got : 0);
        if (got == 0)
            return NULL;
        if (got < 0 && errno != EINTR)
            return "what the command printed cannot be read";
    }
}

/* Its own child alone, so that a program's other children are left to it. */
static int reap(pid_t child, bool kill_it)
{
    int status = 0;

    if (kill_it)
        kill(child, SIGKILL);
    background_leave_gate();
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    background_enter_gate();
    return status;
}

static const char *run(char **arguments, int64_t deadline, BUF_MEM *output)
{
    const char *problem;
    int ends[2], status;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return "there is no pipe to the command";
    if (spawn(&child, arguments, ends[1]) != 0) {
        close(ends[0]);
        close(ends[1]);
        return "the command cannot be started";
    }
    close(ends[1]);
    problem = read_output(ends[0], deadline, output);
    close(ends[0]);
    status = reap(child, problem != NULL);
    if (!problem && status != 0)
        return "the command failed";
    return problem;
}

/* {"mode":"AK|StsToken","access_key_id","access_key_secret","sts_token","expiration"} */
static struct credentials *read_answer(
        const BUF_MEM *output, const char *place, struct aliyun_iot_error **error)
{
    const char *problem = NULL;
    CLEANUP(json_free) cJSON *object = json_parse(output->data, output->length, &problem);
    const char *expiration = object ? json_string(object, "expiration") : NULL;
    const char *end;
    struct tm date = {0};

    if (!object)
        return credentials_refuse(
                error, place, "what the command printed is unusable: %s", problem);
    end = expiration && *expiration ? strptime(expiration, "%Y-%m-%dT%H:%M:%SZ", &date) : NULL;
    return credentials_new(json_string(object, "access_key_id"),
            json_string(object, "access_key_secret"), json_string(object, "sts_token"),
            end && !*end ? (int64_t)timegm(&date) : 0, place, error);
}

struct credentials *credentials_of_command(const struct credentials_search *search,
        const char *command, const char *place, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *copy = strdup(command ? command : "");
    CLEANUP(BUF_MEM_free) BUF_MEM *output = BUF_MEM_new();
    int64_t limit = monotonic_milliseconds() + COMMAND_TIMEOUT;
    char *arguments[ARGUMENTS_MAX + 1];
    const char *problem;

    if (!copy || !output) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (split(copy, arguments) == 0)
        return credentials_refuse(error, place, "process_command is missing");
    problem = run(arguments, limit < search->deadline ? limit : search->deadline, output);
    if (problem)
        return credentials_refuse(error, place, "%s", problem);
    return read_answer(output, place, error);
}
