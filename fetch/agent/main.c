/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot-agent: options, start, signals and end. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "agent/hardening.h"
#include "agent/private.h"
#include "agent/server.h"
#include "agent/sockets.h"
#include "agent/systemd.h"
#include "base/deadline.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char default_settings[] = "/etc/aliyun-iot/agent.conf";

static const char usage[] =
        "Usage: aliyun-iot-agent [--config FILE] [--socket PATH]\n"
        "       aliyun-iot-agent [--config FILE] -- COMMAND [ARGUMENT ...]\n\n"
        "Fetches identities of devices and signs with their keys, for programs that hold no\n"
        "AccessKey and no private key.\n\n"
        "  --config FILE   settings (default: /etc/aliyun-iot/agent.conf; for COMMAND, the\n"
        "                  user's aliyun-iot.conf)\n"
        "  --socket PATH   listens there, and on no socket of the settings\n"
        "  -- COMMAND      serves COMMAND alone, until it ends\n"
        "  --help, --version\n\n"
        "See aliyun-iot-agent(8) and agent.conf(5).";

struct agent {
    const char *settings_file; /* NULL: all defaults, or the user's aliyun-iot.conf */
    const char *socket_path;   /* NULL: those of the settings, or of systemd */
    char **command;            /* NULL: not private */
    pid_t command_process;
    struct service *service;
    struct server *server;
    struct agent_socket *sockets;
    int signals; /* a signalfd */
    bool metrics_failed;
};

static int fail(const char *message)
{
    fprintf(stderr, "aliyun-iot-agent: %s\n", message);
    return EXIT_FAILED;
}

static int fail_error(struct aliyun_iot_error *error)
{
    int status = fail(aliyun_iot_error_message(error));

    aliyun_iot_error_free(error);
    return status;
}

static int fail_usage(const char *problem)
{
    fprintf(stderr, "aliyun-iot-agent: %s; see aliyun-iot-agent --help\n", problem);
    return EXIT_USAGE;
}

/* Returns -1 to go on; or the exit status. */
static int read_options(int argc, char **argv, struct agent *agent)
{
    static const struct option options[] = {
            {"config", required_argument, NULL, 'c'},
            {"socket", required_argument, NULL, 's'},
            {"help", no_argument, NULL, 'h'},
            {"version", no_argument, NULL, 'v'},
            {NULL, 0, NULL, 0},
    };
    bool has_command;
    int option;

    while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            agent->settings_file = optarg;
            break;
        case 's':
            agent->socket_path = optarg;
            break;
        case 'h':
            puts(usage);
            return EXIT_DONE;
        case 'v':
            puts("aliyun-iot-agent " VERSION);
            return EXIT_DONE;
        default:
            return fail_usage("wrong option");
        }
    }
    has_command = strcmp(argv[optind - 1], "--") == 0 && optind > 1;
    if (optind < argc && !has_command)
        return fail_usage("a command stands after --");
    if (has_command && optind == argc)
        return fail_usage("-- without a command");
    if (has_command && agent->socket_path)
        return fail_usage("a command has a socket of its own, so --socket has no meaning");
    agent->command = has_command ? argv + optind : NULL;
    return -1;
}

/* A private agent reads the user's settings, and a missing default file is no settings. */
static void choose_settings(struct agent *agent)
{
    if (!agent->settings_file && !agent->command && access(default_settings, F_OK) == 0)
        agent->settings_file = default_settings;
}

/* Makes the list of sockets to listen on. Returns 1; or 0 with *error set. */
static int choose_sockets(struct agent *agent, struct aliyun_iot_error **error)
{
    if (agent->command) {
        agent->sockets = private_socket_new(error);
        return agent->sockets != NULL;
    }
    if (!agent->socket_path)
        return !agent->settings_file ||
               agent_sockets_load(agent->settings_file, &agent->sockets, error);
    agent->sockets = calloc(1, sizeof(*agent->sockets));
    if (!agent->sockets)
        return error_set_out_of_memory(error);
    agent->sockets->mode = 0600;
    agent->sockets->group = (gid_t)-1;
    agent->sockets->path = strdup(agent->socket_path);
    return agent->sockets->path || error_set_out_of_memory(error);
}

/* The name in agent.conf of a socket that systemd made; NULL: none has its path. */
static const char *name_of_inherited(const struct agent *agent, int descriptor)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(address) - 1;

    if (getsockname(descriptor, (struct sockaddr *)&address, &size) != 0)
        return NULL;
    for (const struct agent_socket *socket = agent->sockets; socket; socket = socket->next)
        if (strcmp(socket->path, address.sun_path) == 0)
            return socket->name;
    return NULL;
}

static int listen_on_all(struct agent *agent, int inherited, struct aliyun_iot_error **error)
{
    for (int index = 0; index < inherited; index++) {
        int descriptor = SYSTEMD_FIRST_DESCRIPTOR + index;

        if (!server_add_listener(
                    agent->server, descriptor, name_of_inherited(agent, descriptor), error))
            return 0;
    }
    /* systemd's sockets are the settings' own: what it made, it also removes. */
    for (struct agent_socket *socket = inherited ? NULL : agent->sockets; socket;
            socket = socket->next) {
        int descriptor = agent_socket_listen(socket, error);

        if (descriptor < 0 || !server_add_listener(agent->server, descriptor, socket->name, error))
            return 0;
    }
    if (inherited || agent->sockets)
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "there is no socket to listen on; give --socket PATH, or a section [socket/NAME] in %s",
            agent->settings_file ? agent->settings_file : default_settings);
}

/* Signals wait in the signalfd from now on; threads inherit that they are blocked. */
static void take_signals(struct agent *agent)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t taken;

    sigemptyset(&taken);
    for (size_t index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++)
        sigaddset(&taken, numbers[index]);
    sigprocmask(SIG_BLOCK, &taken, NULL);
    signal(SIGPIPE, SIG_IGN);
    agent->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void reload(struct agent *agent)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    char state[100];

    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
            (long long)monotonic_milliseconds() * 1000);
    systemd_notify(state);
    if (!service_reload(agent->service, &error))
        fprintf(stderr, "aliyun-iot-agent: %s; the settings from before stay\n",
                aliyun_iot_error_message(error));
    systemd_notify("READY=1");
}

/* Whether the command has ended, and *status how. */
static bool has_ended(const struct agent *agent, int *status)
{
    return agent->command && waitpid(agent->command_process, status, WNOHANG) > 0;
}

/* Returns whether the agent is to end. */
static bool handle_signal(struct agent *agent, int *status)
{
    struct signalfd_siginfo signal;

    while (read(agent->signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
        if (signal.ssi_signo == SIGCHLD) {
            if (has_ended(agent, status))
                return true;
        } else if (agent->command) {
            private_pass_signal(agent->command_process, &signal);
        } else if (signal.ssi_signo == SIGHUP) {
            reload(agent);
        } else if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT) {
            return true;
        }
    }
    return false;
}

/* A problem is told once, and not each time. */
static void write_metrics(struct agent *agent, int64_t *next)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    struct server_counts counts = server_counts(agent->server);

    if (deadline_left_ms(*next) > 0)
        return;
    *next = monotonic_milliseconds() + METRICS_FILE_PAUSE_MS;
    if (metrics_write_file(agent->service, &counts, &error)) {
        agent->metrics_failed = false;
    } else if (!agent->metrics_failed) {
        fail(aliyun_iot_error_message(error));
        agent->metrics_failed = true;
    }
}

/* Until a signal ends the agent, or its command has ended. */
static void run(struct agent *agent, int *status)
{
    int64_t watchdog_ms = systemd_watchdog_ms() / 2;
    struct pollfd waited[] = {
            {.fd = agent->signals, .events = POLLIN},
            {.fd = server_attention(agent->server), .events = POLLIN},
    };
    int64_t next_metrics = 0, pause_ms = METRICS_FILE_PAUSE_MS;
    bool is_waiting = false;

    if (watchdog_ms > 0 && watchdog_ms < pause_ms)
        pause_ms = watchdog_ms;
    do {
        int limit_ms = is_waiting ? SERVER_SWEEP_MS : (int)pause_ms;

        write_metrics(agent, &next_metrics);

        if (poll(waited, 2, limit_ms) < 0 && errno != EINTR)
            break;
        is_waiting = server_sweep(agent->server);
        if (watchdog_ms > 0)
            systemd_notify("WATCHDOG=1");
    } while (!handle_signal(agent, status));
}

static int start(struct agent *agent, const struct rlimit *cores, struct aliyun_iot_error **error)
{
    int inherited = agent->command ? 0 : systemd_take_sockets(error);

    if (inherited < 0 || !choose_sockets(agent, error))
        return 0;
    agent->service = service_new(agent->settings_file, agent->command != NULL, error);
    if (!agent->service)
        return 0;
    agent->server = server_new(agent->service, error);
    if (!agent->server || !listen_on_all(agent, inherited, error))
        return 0;
    if (agent->command) {
        agent->command_process = private_start(agent->command, agent->sockets->path, cores, error);
        if (agent->command_process < 0)
            return 0;
    }
    return audit_log_start(service_audit_log(agent->service), error) &&
           server_start(agent->server, error);
}

static void remove_sockets(const struct agent *agent)
{
    for (const struct agent_socket *socket = agent->sockets; socket; socket = socket->next) {
        if (agent->command)
            private_socket_remove(socket);
        else
            agent_socket_remove(socket);
    }
}

int main(int argc, char **argv)
{
    struct agent agent = {.settings_file = NULL};
    struct aliyun_iot_error *error = NULL;
    struct rlimit cores;
    int status = read_options(argc, argv, &agent);
    bool all_ended;

    if (status >= 0)
        return status;
    harden(&cores);
    openlog("aliyun-iot-agent", LOG_PID, LOG_DAEMON);
    choose_settings(&agent);
    take_signals(&agent);
    if (!start(&agent, &cores, &error)) {
        remove_sockets(&agent);
        return fail_error(error);
    }
    systemd_notify("READY=1");
    status = 0;
    run(&agent, &status);
    systemd_notify("STOPPING=1");
    all_ended = server_stop(agent.server);
    remove_sockets(&agent);
    if (agent.command)
        private_end_as(status);
    /* What did not end in time ends with the process. */
    if (!all_ended)
        _exit(EXIT_DONE);
    server_free(agent.server);
    service_free(agent.service);
    agent_sockets_free(agent.sockets);
    return EXIT_DONE;
}
