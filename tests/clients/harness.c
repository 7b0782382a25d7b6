/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An MQTT load harness, as an example of <aliyun-iot/ssl.h> with libmosquitto: opens a connection
 * over TLS for each device, all open at once, each with an identity of its own.
 *
 *     harness HOST PORT CAFILE THREADS COUNT PATTERN     {} in PATTERN becomes 0, 1, ... COUNT - 1
 *     harness HOST PORT CAFILE THREADS < LIST            a device a line
 *
 * A device is named by its URI, or by a PEM file with its certificate chain and key. URIs are first
 * fetched, as fast as the account's quota allows; then come the connections, which load the
 * identity once more, now from memory. Prints how long both took, and how long single connections.
 * Exit status: 0 all connected, 1 some did not (each is named on standard error), 2 wrong usage.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <mosquitto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <aliyun-iot/identity.h>
#include <aliyun-iot/ssl.h>

enum {
    KEEP_ALIVE_S = 1200, /* the longest that the platform allows, since nobody pings here */
    TIMEOUT_S = 60       /* for one connection */
};

struct device {
    char *name; /* URI or path */
    char client_id[32];
    struct mosquitto *mosquitto;
    bool fetched, answered, connected;
    double seconds; /* from the SSL_CTX to the broker's answer */
};

static const char *host;
static int port;
static X509_STORE *trusted;
static struct device *devices;
static size_t device_count;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool is_uri(const char *name)
{
    return strncmp(name, "aliyun-iot:", strlen("aliyun-iot:")) == 0;
}

static void explain(const struct device *device, const char *what)
{
    unsigned long code;
    const char *data;
    int flags;

    fprintf(stderr, "%s: %s", device->name, what);
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)))
        fprintf(stderr, ": %s%s%s", ERR_reason_error_string(code), *data ? ": " : "", data);
    fputc('\n', stderr);
}

static void fetch(struct device *device)
{
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error;

    if (is_uri(device->name) &&
            !aliyun_iot_identity_resolve(NULL, device->name, &identity, NULL, &error)) {
        fprintf(stderr, "%s\n", aliyun_iot_error_message(error));
        aliyun_iot_error_free(error);
        return;
    }
    if (is_uri(device->name))
        aliyun_iot_identity_free(identity);
    device->fetched = true;
}

static SSL_CTX *new_ssl_ctx(const char *name)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());
    int done;

    if (!ssl_ctx)
        return NULL;
    /*
     * The verification of the server is set up here and not left to libmosquitto
     * (MOSQ_OPT_SSL_CTX_WITH_DEFAULTS), which before 2.0.15 refuses every server ("certificate
     * verify failed"): its callback finds the client only if it had made the SSL_CTX itself.
     */
    SSL_CTX_set1_cert_store(ssl_ctx, trusted);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    done = X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(ssl_ctx), host, 0);
    if (is_uri(name))
        done = done && aliyun_iot_use_identity(ssl_ctx, name);
    else
        done = done && SSL_CTX_use_certificate_chain_file(ssl_ctx, name) == 1 &&
               SSL_CTX_use_PrivateKey_file(ssl_ctx, name, SSL_FILETYPE_PEM) == 1;
    if (done)
        return ssl_ctx;
    SSL_CTX_free(ssl_ctx);
    return NULL;
}

static void on_connect(struct mosquitto *mosquitto, void *context, int code)
{
    struct device *device = context;

    (void)mosquitto;
    device->answered = true;
    device->connected = code == 0;
    if (code != 0)
        explain(device, mosquitto_connack_string(code));
}

static struct mosquitto *new_client(struct device *device, SSL_CTX *ssl_ctx)
{
    struct mosquitto *mosquitto = mosquitto_new(device->client_id, true, device);

    if (!mosquitto)
        return NULL;
    mosquitto_connect_callback_set(mosquitto, on_connect);
    mosquitto_int_option(mosquitto, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    mosquitto_void_option(mosquitto, MOSQ_OPT_SSL_CTX, ssl_ctx);
    return mosquitto;
}

/*
 * As mosquitto_loop() does it, which takes no descriptor from FD_SETSIZE (1024) on, since it calls
 * select().
 */
static int loop(struct mosquitto *mosquitto)
{
    struct pollfd descriptor = {.fd = mosquitto_socket(mosquitto), .events = POLLIN};
    int result = MOSQ_ERR_SUCCESS;

    if (mosquitto_want_write(mosquitto))
        descriptor.events |= POLLOUT;
    if (poll(&descriptor, 1, 1000) < 0)
        return MOSQ_ERR_ERRNO;
    if (descriptor.revents & POLLOUT)
        result = mosquitto_loop_write(mosquitto, 1);
    if (result == MOSQ_ERR_SUCCESS && (descriptor.revents & ~POLLOUT))
        result = mosquitto_loop_read(mosquitto, 1);
    return result == MOSQ_ERR_SUCCESS ? mosquitto_loop_misc(mosquitto) : result;
}

static void connect_device(struct device *device)
{
    double begun = now();
    SSL_CTX *ssl_ctx;
    int result;

    if (!device->fetched)
        return;
    ssl_ctx = new_ssl_ctx(device->name);
    if (!ssl_ctx) {
        explain(device, "no identity");
        return;
    }
    device->mosquitto = new_client(device, ssl_ctx);
    SSL_CTX_free(ssl_ctx);
    result = device->mosquitto ? mosquitto_connect(device->mosquitto, host, port, KEEP_ALIVE_S)
                               : MOSQ_ERR_NOMEM;
    while (result == MOSQ_ERR_SUCCESS && !device->answered && now() - begun < TIMEOUT_S)
        result = loop(device->mosquitto);
    device->seconds = now() - begun;
    if (!device->answered)
        explain(device, result == MOSQ_ERR_SUCCESS ? "timed out" : mosquitto_strerror(result));
}

static void disconnect(struct device *device)
{
    if (device->connected)
        mosquitto_disconnect(device->mosquitto);
    if (device->mosquitto)
        mosquitto_destroy(device->mosquitto);
    free(device->name);
}

struct round {
    void (*work)(struct device *device);
    atomic_size_t next;
};

static void *work(void *context)
{
    struct round *round = context;
    size_t index;

    while ((index = atomic_fetch_add(&round->next, 1)) < device_count)
        round->work(&devices[index]);
    return NULL;
}

/* Does the work for each device, by that many threads. Returns the seconds that it took. */
static double for_each_device(int thread_count, void (*function)(struct device *device))
{
    struct round round = {.work = function};
    pthread_t *threads = calloc((size_t)thread_count, sizeof(*threads));
    double begun = now();
    int started = 0;

    while (threads && started < thread_count &&
            pthread_create(&threads[started], NULL, work, &round) == 0)
        started++;
    work(&round);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    free(threads);
    return now() - begun;
}

static void add_device(char *name)
{
    struct device *more = realloc(devices, (device_count + 1) * sizeof(*devices));

    if (!more || !name) {
        fputs("harness: out of memory\n", stderr);
        exit(1);
    }
    devices = more;
    devices[device_count] = (struct device){.name = name};
    snprintf(devices[device_count].client_id, sizeof(devices[device_count].client_id),
            "harness-%zu", device_count);
    device_count++;
}

static void add_pattern(const char *pattern, long count)
{
    const char *place = strstr(pattern, "{}");

    for (long number = 0; number < count; number++) {
        char *name = NULL;

        if (asprintf(&name, "%.*s%ld%s", (int)(place - pattern), pattern, number, place + 2) < 0)
            name = NULL;
        add_device(name);
    }
}

static void add_list(FILE *list)
{
    char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, list) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (*line)
            add_device(strdup(line));
    }
    free(line);
}

static int compare(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* Returns how many connected. */
static size_t report(double seconds)
{
    double *latencies = calloc(device_count + 1, sizeof(*latencies));
    size_t connected = 0;

    for (size_t index = 0; index < device_count; index++)
        if (devices[index].connected && latencies)
            latencies[connected++] = devices[index].seconds * 1000;
    printf("connected %zu, failed %zu, in %.2f s: %.1f a second\n", connected,
            device_count - connected, seconds, (double)connected / seconds);
    if (connected > 0) {
        qsort(latencies, connected, sizeof(*latencies), compare);
        printf("milliseconds: median %.1f, 90th percentile %.1f, 99th %.1f, longest %.1f\n",
                latencies[connected / 2], latencies[connected * 90 / 100],
                latencies[connected * 99 / 100], latencies[connected - 1]);
    }
    free(latencies);
    return connected;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    int threads = argc > 4 ? atoi(argv[4]) : 0;
    double seconds;
    bool all;

    if ((argc != 5 && argc != 7) || threads <= 0 || (argc == 7 && !strstr(argv[6], "{}"))) {
        fputs("usage: harness HOST PORT CAFILE THREADS [COUNT PATTERN] (see harness.c)\n", stderr);
        return 2;
    }
    host = argv[1];
    port = atoi(argv[2]);
    trusted = X509_STORE_new();
    if (!trusted || !X509_STORE_load_file(trusted, argv[3])) {
        fprintf(stderr, "harness: no CA certificates in %s\n", argv[3]);
        return 2;
    }
    if (argc == 7)
        add_pattern(argv[6], atol(argv[5]));
    else
        add_list(stdin);
    /* A connection takes three descriptors of libmosquitto's. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    mosquitto_lib_init();

    seconds = for_each_device(threads, fetch);
    printf("fetched in %.2f s\n", seconds);
    seconds = for_each_device(threads, connect_device);
    all = report(seconds) == device_count;

    for_each_device(1, disconnect);
    mosquitto_lib_cleanup();
    X509_STORE_free(trusted);
    free(devices);
    return all ? 0 : 1;
}
