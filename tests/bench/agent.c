/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to have keys in an agent:
 *
 *     bench_agent handshakes CLIENTS ROUNDS URI CERTIFICATE.pem KEY.pem
 *         TLS 1.3 with client certificates between threads' own clients and servers in memory;
 *         prints the handshakes a second of each round: by the URI, by the files
 *     bench_agent signatures SOCKET CONNECTIONS REQUEST
 *         sends the request by that many connections at once, again and again;
 *         prints the answers a second
 *     bench_agent latency SOCKET COUNT REQUEST
 *         sends the request by one connection, one after the other;
 *         prints the median and the 99th percentile in microseconds
 *
 * An answer that is no signature ends the program with an error.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <aliyun-iot/ssl.h>

enum { CLIENTS_MAX = 64, ANSWER_SIZE = 4096, ROUND_MS = 1000 };

static void give_up(const char *what)
{
    fprintf(stderr, "bench_agent: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Handshakes. */

static SSL_CTX *client_by_uri, *client_by_files, *server;

struct client {
    pthread_t thread;
    SSL_CTX *ssl_ctx;
    double end;
    int handshakes;
};

static int accept_any(int verified, X509_STORE_CTX *store)
{
    (void)verified;
    (void)store;
    return 1;
}

static void shake_hands(SSL_CTX *client_ctx)
{
    SSL *client = SSL_new(client_ctx), *peer = SSL_new(server);
    BIO *client_bio, *peer_bio;
    bool done = false;

    if (!client || !peer || BIO_new_bio_pair(&client_bio, 1 << 15, &peer_bio, 1 << 15) != 1)
        give_up("no connection");
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(peer, peer_bio, peer_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(peer);
    for (int turn = 0; turn < 10 && !done; turn++) {
        int one = SSL_do_handshake(client), other = SSL_do_handshake(peer);

        done = one == 1 && other == 1;
    }
    if (!done || !SSL_get0_peer_certificate(peer))
        give_up("a handshake failed");
    SSL_free(client);
    SSL_free(peer);
}

static void *run_client(void *argument)
{
    struct client *client = argument;

    while (microseconds() < client->end) {
        shake_hands(client->ssl_ctx);
        client->handshakes++;
    }
    return NULL;
}

static double handshakes_a_second(SSL_CTX *ssl_ctx, int clients)
{
    struct client all[CLIENTS_MAX];
    double begun = microseconds();
    int handshakes = 0;

    for (int index = 0; index < clients; index++) {
        all[index] = (struct client){.ssl_ctx = ssl_ctx, .end = begun + ROUND_MS * 1e3};
        if (pthread_create(&all[index].thread, NULL, run_client, &all[index]) != 0)
            give_up("no thread");
    }
    for (int index = 0; index < clients; index++) {
        pthread_join(all[index].thread, NULL);
        handshakes += all[index].handshakes;
    }
    return handshakes / (microseconds() - begun) * 1e6;
}

static SSL_CTX *context_with_files(
        const SSL_METHOD *method, const char *certificate, const char *key)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(method);

    if (!ssl_ctx || SSL_CTX_use_certificate_chain_file(ssl_ctx, certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(ssl_ctx, key, SSL_FILETYPE_PEM) != 1)
        give_up("the PEM files cannot be used");
    return ssl_ctx;
}

static void measure_handshakes(int clients, int rounds, char **files)
{
    if (clients < 1 || clients > CLIENTS_MAX)
        give_up("too many clients");
    client_by_files = context_with_files(TLS_client_method(), files[1], files[2]);
    server = context_with_files(TLS_server_method(), files[1], files[2]);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_CTX_set_num_tickets(server, 0);
    client_by_uri = SSL_CTX_new(TLS_client_method());
    if (!client_by_uri || !aliyun_iot_use_identity(client_by_uri, files[0]))
        give_up(files[0]);
    shake_hands(client_by_uri);
    for (int round = 0; round < rounds; round++) {
        double ours = handshakes_a_second(client_by_uri, clients);

        printf("%.2f %.2f\n", ours, handshakes_a_second(client_by_files, clients));
    }
    SSL_CTX_free(client_by_uri);
    SSL_CTX_free(client_by_files);
    SSL_CTX_free(server);
}

/* Packets. */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path))
        give_up("the path is too long");
    strcpy(address.sun_path, path);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof(address)) != 0)
        give_up("no connection to the agent");
    return connection;
}

static void send_request(int connection, const char *request)
{
    if (send(connection, request, strlen(request), 0) < 0)
        give_up("the request cannot be sent");
}

static void receive_signature(int connection)
{
    char answer[ANSWER_SIZE];
    ssize_t size = recv(connection, answer, sizeof(answer) - 1, 0);

    if (size <= 0)
        give_up("the agent closed the connection");
    answer[size] = '\0';
    if (!strstr(answer, "\"signature\":"))
        give_up(answer);
}

static void measure_signatures(const char *socket_path, int connections, const char *request)
{
    int events = epoll_create1(EPOLL_CLOEXEC), answers = 0;
    double begun, end;

    for (int index = 0; index < connections; index++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = connect_to(socket_path)};

        epoll_ctl(events, EPOLL_CTL_ADD, event.data.fd, &event);
        send_request(event.data.fd, request);
    }
    begun = microseconds();
    end = begun + ROUND_MS * 2e3;
    while (microseconds() < end) {
        struct epoll_event ready[64];
        int count = epoll_wait(events, ready, 64, -1);

        for (int index = 0; index < count; index++) {
            receive_signature(ready[index].data.fd);
            send_request(ready[index].data.fd, request);
        }
        answers += count;
    }
    printf("%.2f\n", answers / (microseconds() - begun) * 1e6);
}

static int compare(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return difference < 0 ? -1 : difference > 0;
}

static void measure_latency(const char *socket_path, int count, const char *request)
{
    double *times = calloc((size_t)count, sizeof(*times));
    int connection = connect_to(socket_path);

    if (!times)
        give_up("out of memory");
    for (int index = 0; index < count; index++) {
        double begun = microseconds();

        send_request(connection, request);
        receive_signature(connection);
        times[index] = microseconds() - begun;
    }
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("%.1f %.1f\n", times[count / 2], times[count - 1 - count / 100]);
    free(times);
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "handshakes") == 0)
        measure_handshakes(atoi(argv[2]), atoi(argv[3]), argv + 4);
    else if (argc == 5 && strcmp(argv[1], "signatures") == 0)
        measure_signatures(argv[2], atoi(argv[3]), argv[4]);
    else if (argc == 5 && strcmp(argv[1], "latency") == 0)
        measure_latency(argv[2], atoi(argv[3]), argv[4]);
    else
        return 2;
    return 0;
}
