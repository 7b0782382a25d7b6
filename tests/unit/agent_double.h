/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process in the place of the agent, which answers `identity` with one pair and `sign` with three
 * bytes that are no signature.
 */
#ifndef AGENT_DOUBLE_H
#define AGENT_DOUBLE_H

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/agent_protocol.h"
#include "pair.h"

struct agent_double {
    char folder[32];
    char path[48]; /* of the socket */
    pid_t process;
};

/* Base64 of DER, to be freed by free(). */
static inline char *agent_double_base64(X509 *certificate)
{
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    char *text = malloc((size_t)size * 2 + 4);

    if (!text)
        abort();
    EVP_EncodeBlock((unsigned char *)text, der, size);
    OPENSSL_free(der);
    return text;
}

static inline void agent_double_serve(int connection, const char *identity)
{
    static const char signature[] = "{\"version\":1,\"ok\":true,\"signature\":\"AQID\"}";
    char request[4096];
    ssize_t size;

    while ((size = recv(connection, request, sizeof(request) - 1, 0)) > 0) {
        const char *answer;

        request[size] = '\0';
        answer = strstr(request, "\"sign\"") ? signature : identity;
        if (send(connection, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            break;
    }
    close(connection);
}

/* One process for each connection, until it is killed. */
static inline void agent_double_run(int listener)
{
    EVP_PKEY *key = pair_key("EC");
    X509 *leaf = pair_certificate(key, -60, 86400);
    char *certificate = agent_double_base64(leaf);
    char hash[AGENT_KEY_HASH_SIZE];
    char *identity;

    if (!agent_key_hash(NULL, leaf, hash) ||
            asprintf(&identity,
                    "{\"version\":1,\"ok\":true,\"certificates\":[\"%s\"],\"key\":\"%s\"}",
                    certificate, hash) < 0)
        abort();
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept(listener, NULL, NULL);

        if (connection >= 0 && fork() == 0) {
            agent_double_serve(connection, identity);
            _exit(0);
        }
        close(connection);
    }
}

static inline void agent_double_start(struct agent_double *agent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(agent->folder, "/tmp/agent-double-XXXXXX");
    if (!mkdtemp(agent->folder))
        abort();
    snprintf(agent->path, sizeof(agent->path), "%s/socket", agent->folder);
    strcpy(address.sun_path, agent->path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
            listen(listener, 64) != 0)
        abort();
    agent->process = fork();
    if (agent->process == 0)
        agent_double_run(listener);
    close(listener);
}

static inline void agent_double_stop(const struct agent_double *agent)
{
    kill(agent->process, SIGKILL);
    waitpid(agent->process, NULL, 0);
    unlink(agent->path);
    rmdir(agent->folder);
}

#endif
