/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

enum { SIGNAL_BASE = 128 /* of a shell's exit status for a signal */ };

/* Every variable of Alibaba Cloud's SDKs and commands that can hold or lead to credentials. */
static const char *const credential_prefixes[] = {
        "ALIBABA_CLOUD_", "ALIBABACLOUD_", "ALICLOUD_", "ALIYUN_ACCESS"};

static const char socket_name[] = "socket";

struct agent_socket *private_socket_new(struct aliyun_iot_error **error)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    const char *parent = runtime && access(runtime, W_OK | X_OK) == 0 ? runtime : "/tmp";
    CLEANUP(agent_sockets_free) struct agent_socket *socket = calloc(1, sizeof(*socket));
    CLEANUP(free) char *folder = NULL;

    if (!socket || asprintf(&folder, "%s/aliyun-iot-agent-XXXXXX", parent) < 0) {
        folder = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!mkdtemp(folder)) {
        error_set(error, ALIYUN_IOT_REASON_INTERNAL, "%s: no folder can be made: %s", parent,
                strerror(errno));
        return NULL;
    }
    socket->mode = 0600;
    socket->group = (gid_t)-1;
    if (asprintf(&socket->path, "%s/%s", folder, socket_name) < 0) {
        socket->path = NULL;
        rmdir(folder);
        error_set_out_of_memory(error);
        return NULL;
    }
    return take(socket);
}

void private_socket_remove(const struct agent_socket *socket)
{
    CLEANUP(free) char *folder = strdup(socket->path);

    agent_socket_remove(socket);
    if (!folder)
        return;
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
}

static bool is_credential(const char *variable)
{
    for (size_t index = 0; index < sizeof(credential_prefixes) / sizeof(*credential_prefixes);
            index++)
        if (strncmp(variable, credential_prefixes[index], strlen(credential_prefixes[index])) == 0)
            return true;
    return false;
}

static void remove_credentials(void)
{
    char **kept = environ;

    for (char **variable = environ; *variable; variable++)
        if (!is_credential(*variable))
            *kept++ = *variable;
    *kept = NULL;
}

/* In the child. What went wrong is told through the pipe, which ends with exec. */
static _Noreturn void run(
        char **command, const char *socket, const struct rlimit *cores, int problem_pipe)
{
    sigset_t none;
    int problem;

    remove_credentials();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, cores);
    if (setenv("ALIYUN_IOT_AGENT", socket, 1) == 0)
        execvp(command[0], command);
    problem = errno;
    if (write(problem_pipe, &problem, sizeof(problem)) < 0)
        _exit(1);
    _exit(SIGNAL_BASE - 1);
}

pid_t private_start(char **command, const char *socket, const struct rlimit *cores,
        struct aliyun_iot_error **error)
{
    int problem = 0, ends[2];
    ssize_t size;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set(error, ALIYUN_IOT_REASON_INTERNAL, "no pipe: %s", strerror(errno));
        return -1;
    }
    child = fork();
    if (child == 0)
        run(command, socket, cores, ends[1]);
    problem = errno;
    close(ends[1]);
    size = child < 0 ? (ssize_t)sizeof(problem) : read(ends[0], &problem, sizeof(problem));
    close(ends[0]);
    if (size <= 0)
        return child;
    if (child > 0)
        waitpid(child, NULL, 0);
    error_set(error, ALIYUN_IOT_REASON_INTERNAL, "%.200s: %s", command[0], strerror(problem));
    return -1;
}

void private_pass_signal(pid_t command, const struct signalfd_siginfo *signal)
{
    if (signal->ssi_code != SI_KERNEL)
        kill(command, (int)signal->ssi_signo);
}

_Noreturn void private_end_as(int status)
{
    sigset_t none;

    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        raise(WTERMSIG(status));
        exit(SIGNAL_BASE + WTERMSIG(status));
    }
    exit(WEXITSTATUS(status));
}
