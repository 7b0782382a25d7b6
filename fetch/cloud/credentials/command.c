/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that a command prints: mode External of the CLI's profiles. */
#include "cloud/credentials/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/privileged.h"
#include "base/process.h"
#include "base/text.h"
#include "cloud/credentials/words.h"

enum {
    COMMAND_TIMEOUT_MS = 60 * 1000, /* as the CLI allows */
    OUTPUT_MAX_BYTES = 64 * 1024,
    END_STEP_MS = 5 /* until the end of the command is noticed */
};

extern char **environ;

static const char late[] = "the command did not end in time";

/*
 * The command has no input, the signals as a program expects them, and of our descriptors standard
 * error alone: others may lead to secrets of the program. Alibaba Cloud's clients do the same.
 */
static int set_up_process(
        posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int output)
{
    sigset_t none, all;
    int failed;

    sigemptyset(&none);
    sigfillset(&all);
    /* First the output, which may have the number of a standard stream that the program closed. */
    failed = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (!failed)
        failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed)
        failed = posix_spawnattr_setsigdefault(attributes, &all);
    if (!failed)
        failed = posix_spawnattr_setflags(
                attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return failed;
}

/* Returns 0, or an error number. */
static int spawn(pid_t *child, char **arguments, int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed;

    failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (!failed) {
        failed = set_up_process(&actions, &attributes, output);
        if (!failed)
            failed = posix_spawnp(child, arguments[0], &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Waits until there is something to read. Returns false at the deadline. */
static bool await_output(int input, int64_t deadline)
{
    struct pollfd wanted = {.fd = input, .events = POLLIN};
    int64_t left_ms;
    int ready = 0;

    while (ready <= 0 && (left_ms = deadline_left_ms(deadline)) > 0) {
        ready = WAIT_OUTSIDE(poll(&wanted, 1, (int)left_ms));
        if (ready < 0 && errno != EINTR)
            return false;
    }
    return ready > 0;
}

/* Returns NULL when all was read; or what was wrong. */
static const char *read_output(int input, int64_t deadline, BUF_MEM *output)
{
    for (;;) {
        size_t before = output->length;
        ssize_t got;

        if (before > OUTPUT_MAX_BYTES)
            return "the command printed more than 64 KiB";
        if (!await_output(input, deadline))
            return late;
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

/*
 * Waits for this child alone: the program's other children are left to it. Returns NULL when it has
 * ended, with *status; or what is wrong. *status is 0 if the program itself has waited for it.
 */
static const char *await_end(pid_t child, int64_t deadline, int *status)
{
    *status = 0;
    while (waitpid(child, status, WNOHANG) == 0) {
        if (deadline_left_ms(deadline) == 0)
            return late;
        process_sleep(END_STEP_MS);
    }
    return NULL;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    while (WAIT_OUTSIDE(waitpid(child, NULL, 0)) < 0 && errno == EINTR) {
    }
}

/* Reads all that the command prints. Returns 0 with *error set if it did not succeed. */
static int run(char **arguments, int64_t deadline, BUF_MEM *output, const char *place,
        struct aliyun_iot_error **error)
{
    const char *problem;
    int ends[2], failed, status;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        credentials_refuse(error, place, "there is no pipe to the command: %s", strerror(errno));
        return 0;
    }
    failed = spawn(&child, arguments, ends[1]);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        credentials_refuse(error, place, "the command %.60s cannot be started: %s", arguments[0],
                strerror(failed));
        return 0;
    }
    problem = read_output(ends[0], deadline, output);
    close(ends[0]);
    if (!problem)
        problem = await_end(child, deadline, &status);
    if (problem) {
        end(child);
        credentials_refuse(error, place, "%s", problem);
        return 0;
    }
    if (WIFSIGNALED(status))
        credentials_refuse(error, place, "the command was ended by signal %d", WTERMSIG(status));
    else if (status != 0)
        credentials_refuse(
                error, place, "the command failed with exit status %d", WEXITSTATUS(status));
    return status == 0;
}

/* A command may leave the expiration out, or empty. */
static bool read_expiration(const cJSON *object, int64_t *seconds)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(object, "expiration");
    const char *text = json_string(object, "expiration");

    *seconds = 0;
    return !field || cJSON_IsNull(field) || (text && !*text) ||
           credentials_parse_time(text, seconds);
}

/* {"mode":"AK|StsToken","access_key_id","access_key_secret","sts_token","expiration"} */
static struct credentials *parse_output(
        const BUF_MEM *output, const char *place, struct aliyun_iot_error **error)
{
    const char *problem = NULL;
    CLEANUP(json_free)
    cJSON *object = json_parse(output->data, output->length, JSON_DEPTH_MAX, &problem);
    const char *mode = json_string(object, "mode");
    const char *token = json_string(object, "sts_token");
    int64_t expiration_s;

    if (!object)
        return credentials_refuse(
                error, place, "what the command printed is unusable: %s", problem);
    if (mode && strcmp(mode, "StsToken") == 0 && (!token || !*token))
        return credentials_refuse(error, place, "the command printed mode StsToken, no sts_token");
    if (!read_expiration(object, &expiration_s))
        return credentials_refuse(error, place, "the command printed an unreadable expiration");
    return credentials_new(json_string(object, "access_key_id"),
            json_string(object, "access_key_secret"), token, expiration_s, place, error);
}

struct credentials *credentials_of_command(const struct credentials_search *search,
        const char *command, const char *place, struct aliyun_iot_error **error)
{
    int64_t limit = monotonic_milliseconds() + COMMAND_TIMEOUT_MS;
    CLEANUP(free) char *copy = strdup(command ? command : "");
    CLEANUP(BUF_MEM_free) BUF_MEM *output = BUF_MEM_new();
    CLEANUP(words_free) char **arguments = NULL;
    const char *problem;

    /*
     * A command would have the caller's current folder, limits and terminal, whatever its
     * environment; and a shell gives up the rights of its effective user, so that the caller could
     * trace it and read the key from it.
     */
    if (process_is_privileged())
        return credentials_refuse(error, place,
                "a privileged (set-user-ID) process runs no process_command; use another mode");
    if (credentials_external_is_disabled())
        return credentials_refuse(error, place,
                "process_command is disabled by ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS");
    if (!copy || !output) {
        error_set_out_of_memory(error);
        return NULL;
    }
    arguments = words_split(copy, &problem);
    if (!arguments)
        return credentials_refuse(error, place, "%s", problem);
    if (!run(arguments, limit < search->deadline ? limit : search->deadline, output, place, error))
        return NULL;
    return parse_output(output, place, error);
}
