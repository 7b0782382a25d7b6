/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP exchanges with a TLS server that this test runs. The clock and the resolver of host names
 * are the test's too: libcurl calls the functions that this program defines.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/deadline.h"
#include "base/export.h"
#include "cloud/http_connections.h"

enum { MINUTE_MS = 60 * 1000, CONNECT_TIMEOUT_MS = 7000 };

static const struct settings no_trace;
static char ca_file[] = "/tmp/http-test-XXXXXX";
static struct http_client *client;

/* A server whose answers can be held back. */
static struct {
    SSL_CTX *tls;
    int listener;
    struct sockaddr_in address;
    char url[64];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_int connections, open, requests;
    bool silent; /* no request is answered before this changes */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

#define WHILE_LOCKED(statements)                                                                   \
    do {                                                                                           \
        pthread_mutex_lock(&server.lock);                                                          \
        statements;                                                                                \
        pthread_cond_broadcast(&server.changed);                                                   \
        pthread_mutex_unlock(&server.lock);                                                        \
    } while (0)

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        pthread_mutex_lock(&server.lock);                                                          \
        while (!(condition))                                                                       \
            pthread_cond_wait(&server.changed, &server.lock);                                      \
        pthread_mutex_unlock(&server.lock);                                                        \
    } while (0)

static void *serve(void *context)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    int connected = *(int *)context;
    SSL *tls = SSL_new(server.tls);
    char request[4096];

    free(context);
    SSL_set_fd(tls, connected);
    if (SSL_accept(tls) == 1) {
        /* A request of this test is small: it comes in one piece. */
        while (SSL_read(tls, request, sizeof(request)) > 0) {
            WHILE_LOCKED(server.requests++);
            WAIT_UNTIL(!server.silent);
            if (SSL_write(tls, answer, sizeof(answer) - 1) <= 0)
                break;
        }
    }
    SSL_free(tls);
    close(connected);
    /* Nobody joins this thread: what it does after the next line can come after main() returned. */
    OPENSSL_thread_stop();
    WHILE_LOCKED(server.open--);
    return NULL;
}

static void *listen_for_clients(void *unused)
{
    (void)unused;
    for (;;) {
        int *connected = malloc(sizeof(*connected));
        pthread_t thread;

        *connected = accept(server.listener, NULL, NULL);
        if (*connected < 0) {
            free(connected);
            return NULL;
        }
        WHILE_LOCKED(server.connections++; server.open++);
        pthread_create(&thread, NULL, serve, connected);
        pthread_detach(thread);
    }
}

/* The name slow.invalid is resolved when the test says so. */
static struct {
    bool asked, may_answer, answered;
} resolver;

/* The clock goes on by a millisecond at each look, if the thread's time flies. */
static _Thread_local bool time_flies;
static _Thread_local int64_t flown_ms;

/* The thread's clock jumps ahead by that much when this has happened; NULL: it does not. */
static _Thread_local bool (*jumps_after)(void);
static _Thread_local int64_t jump_ms;

EXPORT int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    bool jumps = false;

    if (time_flies && clock == CLOCK_MONOTONIC)
        flown_ms++;
    if (jumps_after)
        WHILE_LOCKED(jumps = jumps_after());
    if (jumps) {
        jumps_after = NULL;
        flown_ms += jump_ms;
    }
    now->tv_sec += flown_ms / 1000;
    now->tv_nsec += flown_ms % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_sec++;
        now->tv_nsec -= 1000000000;
    }
    return (int)result;
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
        struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || strcmp(name, "slow.invalid") != 0)
        return real(name, service, hints, result);
    WHILE_LOCKED(resolver.asked = true);
    WAIT_UNTIL(resolver.may_answer);
    WHILE_LOCKED(resolver.answered = true);
    return EAI_FAIL;
}

static int get_from(const char *url, int64_t deadline, struct aliyun_iot_error **error)
{
    const struct http_request request = {.method = "GET", .url = url, .deadline = deadline};
    struct http_answer answer;

    if (!http_exchange(client, &request, &answer, error))
        return 0;
    http_answer_release(&answer);
    return 1;
}

static int get(int64_t limit_ms, struct aliyun_iot_error **error)
{
    return get_from(server.url, monotonic_milliseconds() + limit_ms, error);
}

/* A get of a minute, of which so much has passed when something happens. */
static int get_with_jump(
        const char *url, bool (*event)(void), int64_t passed_ms, struct aliyun_iot_error **error)
{
    int done;

    jumps_after = event;
    jump_ms = passed_ms;
    done = get_from(url, monotonic_milliseconds() + MINUTE_MS, error);
    assert_null(jumps_after);
    flown_ms = 0;
    return done;
}

static void assert_get_succeeds(void)
{
    struct aliyun_iot_error *error = NULL;

    if (!get(MINUTE_MS, &error))
        fail_msg("%s", aliyun_iot_error_message(error));
}

/* The lowest descriptor from a number on that is a connection to the server; -1: none. */
static int find_connection(int from)
{
    for (int descriptor = from; descriptor < 1024; descriptor++) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof(peer);

        if (getpeername(descriptor, (struct sockaddr *)&peer, &size) == 0 &&
                peer.sin_family == AF_INET && peer.sin_port == server.address.sin_port)
            return descriptor;
    }
    return -1;
}

static int option_of(int descriptor, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    assert_int_equal(getsockopt(descriptor, level, name, &value, &size), 0);
    return value;
}

static void a_request_without_a_millisecond_left_is_not_sent(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_int_equal(get(0, &error), 0);
    assert_error(error, ALIYUN_IOT_REASON_TIMEOUT, "no time was left");
    assert_int_equal(server.connections, 0);
}

static void a_deadline_that_passes_at_any_moment_is_a_timeout(void **state)
{
    (void)state;
    WHILE_LOCKED(server.silent = true);
    for (int64_t limit_ms = 1; limit_ms < 20; limit_ms++) {
        struct aliyun_iot_error *error = NULL;
        int done;

        time_flies = true;
        done = get(limit_ms, &error);
        time_flies = false;
        assert_int_equal(done, 0);
        assert_error(error, ALIYUN_IOT_REASON_TIMEOUT, "https://127.0.0.1");
    }
}

static bool is_name_asked_for(void)
{
    return resolver.asked;
}

static void a_name_that_is_not_resolved_holds_up_nothing_after_the_deadline(void **state)
{
    struct aliyun_iot_error *error = NULL;

    (void)state;
    assert_int_equal(
            get_with_jump("https://slow.invalid/", is_name_asked_for, MINUTE_MS, &error), 0);
    assert_error(error, ALIYUN_IOT_REASON_TIMEOUT, "https://slow.invalid");
    assert_false(resolver.answered);
    WHILE_LOCKED(resolver.may_answer = true);
    WAIT_UNTIL(resolver.answered);
}

static void a_connection_is_kept_and_watched_by_the_kernel(void **state)
{
    int kept;

    (void)state;
    assert_get_succeeds();
    assert_get_succeeds();
    assert_int_equal(server.connections, 1);
    assert_int_equal(server.requests, 2);
    kept = find_connection(3);
    assert_true(kept >= 0);
    assert_int_equal(option_of(kept, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_between(option_of(kept, IPPROTO_TCP, TCP_KEEPIDLE), 1, 60);
    assert_int_equal(option_of(kept, IPPROTO_TCP, TCP_USER_TIMEOUT), CONNECT_TIMEOUT_MS);
    assert_true(fcntl(kept, F_GETFD) & FD_CLOEXEC);
}

static void a_request_that_must_not_be_sent_twice_has_a_connection_of_its_own(void **state)
{
    const struct http_request request = {.method = "GET",
            .url = server.url,
            .deadline = monotonic_milliseconds() + MINUTE_MS,
            .new_connection = true};
    struct http_answer answer;

    (void)state;
    assert_get_succeeds();
    assert_int_equal(http_exchange(client, &request, &answer, NULL), 1);
    http_answer_release(&answer);
    assert_int_equal(server.connections, 2);
    assert_get_succeeds();
    assert_int_equal(server.connections, 2);
}

static void *get_on_a_thread(void *unused)
{
    (void)unused;
    return get(MINUTE_MS, NULL) ? &server : NULL;
}

/* One connection idle, one in use by a thread, which waits for the answer. */
static pthread_t start_second_get(void)
{
    pthread_t first, second;
    void *done;

    WHILE_LOCKED(server.silent = true);
    pthread_create(&first, NULL, get_on_a_thread, NULL);
    WAIT_UNTIL(server.requests == 1);
    pthread_create(&second, NULL, get_on_a_thread, NULL);
    WAIT_UNTIL(server.requests == 2);
    WHILE_LOCKED(server.silent = false);
    pthread_join(first, &done);
    assert_non_null(done);
    pthread_join(second, &done);
    assert_non_null(done);
    WHILE_LOCKED(server.silent = true);
    pthread_create(&first, NULL, get_on_a_thread, NULL);
    WAIT_UNTIL(server.requests == 3);
    return first;
}

static bool is_fourth_request_sent(void)
{
    return server.requests == 4;
}

static void a_silent_kept_connection_fails_early_and_takes_all_idle_ones_along(void **state)
{
    struct aliyun_iot_error *error = NULL;
    pthread_t thread = start_second_get();
    void *done;

    (void)state;
    WHILE_LOCKED(server.silent = false);
    pthread_join(thread, &done);
    assert_int_equal(server.open, 2);
    WHILE_LOCKED(server.silent = true);
    assert_int_equal(
            get_with_jump(server.url, is_fourth_request_sent, MINUTE_MS * 2 / 3, &error), 0);
    assert_error(error, ALIYUN_IOT_REASON_TIMEOUT, "on a connection kept from an earlier call");
    assert_int_equal(find_connection(3), -1);
    WHILE_LOCKED(server.silent = false);
    assert_get_succeeds();
    assert_int_equal(server.connections, 3);
}

static bool is_null_device(int descriptor)
{
    struct stat status;

    return fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == makedev(1, 3);
}

struct finding {
    char text[64];
};

/* What a forked child finds. It is killed, since it lacks what a search for leaks would want. */
static struct finding find_in_child(const char *(*check)(const int *sockets), const int *sockets)
{
    struct finding found = {""};
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    /* The checks call what a fork would have called, when they are ready. */
    process_unregister(&client->fork);
    pthread_mutex_lock(&client->lock);
    child = fork();
    if (child == 0) {
        const char *text = check(sockets);

        if (write(ends[1], text, strlen(text)) > 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    pthread_mutex_unlock(&client->lock);
    process_register(&client->fork);
    close(ends[1]);
    if (read(ends[0], found.text, sizeof(found.text) - 1) <= 0)
        strcpy(found.text, "the child says nothing");
    close(ends[0]);
    waitpid(child, NULL, 0);
    return found;
}

static const char *check_both_are_let_go(const int *sockets)
{
    http_client_forget_connections(client);
    if (find_connection(3) >= 0)
        return "a connection is left";
    if (!is_null_device(sockets[0]) || !is_null_device(sockets[1]))
        return "the numbers do not stand for /dev/null";
    return "nothing is left";
}

static const char *check_reused_number_is_left_alone(const int *sockets)
{
    struct stat before, after;
    int ends[2];

    if (pipe(ends) != 0 || dup2(ends[0], sockets[0]) < 0 || close(sockets[1]) != 0)
        return "no descriptors";
    fstat(sockets[0], &before);
    http_client_forget_connections(client);
    fstat(sockets[0], &after);
    if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
        return "the program's file is gone";
    return fcntl(sockets[1], F_GETFD) == -1 ? "left alone" : "a closed number is open";
}

static const char *check_child_has_connections_of_its_own(const int *sockets)
{
    (void)sockets;
    http_client_forget_connections(client);
    pthread_mutex_unlock(&client->lock);
    return get(MINUTE_MS, NULL) && find_connection(3) >= 0 ? "answered" : "not answered";
}

static void a_child_lets_go_of_its_parents_connections_and_the_parent_keeps_them(void **state)
{
    pthread_t thread = start_second_get();
    struct finding let_go, reused, own;
    int sockets[2];
    void *done;

    (void)state;
    sockets[0] = find_connection(3);
    sockets[1] = find_connection(sockets[0] + 1);
    let_go = find_in_child(check_both_are_let_go, sockets);
    reused = find_in_child(check_reused_number_is_left_alone, sockets);
    WHILE_LOCKED(server.silent = false);
    pthread_join(thread, &done);
    assert_non_null(done);
    assert_string_equal(let_go.text, "nothing is left");
    assert_string_equal(reused.text, "left alone");
    assert_int_equal(server.connections, 2);
    own = find_in_child(check_child_has_connections_of_its_own, sockets);
    assert_string_equal(own.text, "answered");
    assert_int_equal(server.connections, 3);
    assert_get_succeeds();
    assert_get_succeeds();
    assert_int_equal(server.connections, 3);
}

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *name = X509_NAME_new();
    X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    FILE *file = fdopen(mkstemp(ca_file), "w");

    X509_NAME_add_entry_by_txt(
            name, "CN", MBSTRING_ASC, (const unsigned char *)"127.0.0.1", -1, -1, 0);
    X509_set_version(certificate, X509_VERSION_3);
    X509_set_subject_name(certificate, name);
    X509_set_issuer_name(certificate, name);
    X509_NAME_free(name);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_add_ext(certificate, extension, -1);
    X509_sign(certificate, key, EVP_sha256());
    PEM_write_X509(file, certificate);
    fclose(file);
    SSL_CTX_use_certificate(server.tls, certificate);
    SSL_CTX_use_PrivateKey(server.tls, key);
    X509_EXTENSION_free(extension);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int start_server(void **state)
{
    socklen_t size = sizeof(server.address);
    static pthread_t thread;

    *state = &thread;
    signal(SIGPIPE, SIG_IGN);
    server.tls = SSL_CTX_new(TLS_server_method());
    make_certificate();
    server.address =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server.listener, (struct sockaddr *)&server.address, size) != 0 ||
            listen(server.listener, 64) != 0 ||
            getsockname(server.listener, (struct sockaddr *)&server.address, &size) != 0)
        return -1;
    snprintf(server.url, sizeof(server.url), "https://127.0.0.1:%d/",
            ntohs(server.address.sin_port));
    return pthread_create(&thread, NULL, listen_for_clients, NULL);
}

static int stop_server(void **state)
{
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(*(pthread_t *)*state, NULL);
    close(server.listener);
    SSL_CTX_free(server.tls);
    return unlink(ca_file);
}

static int make_client(void **state)
{
    const struct http_options options = {.ca_file = ca_file,
            .proxy = "",
            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
            .trace = &no_trace};

    (void)state;
    client = http_client_new(&options);
    return client ? 0 : -1;
}

static int free_client(void **state)
{
    (void)state;
    http_client_free(client);
    WHILE_LOCKED(server.silent = false);
    WAIT_UNTIL(server.open == 0);
    WHILE_LOCKED(server.connections = 0; server.requests = 0);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_client, free_client)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_request_without_a_millisecond_left_is_not_sent),
            TEST(a_deadline_that_passes_at_any_moment_is_a_timeout),
            TEST(a_name_that_is_not_resolved_holds_up_nothing_after_the_deadline),
            TEST(a_connection_is_kept_and_watched_by_the_kernel),
            TEST(a_request_that_must_not_be_sent_twice_has_a_connection_of_its_own),
            TEST(a_silent_kept_connection_fails_early_and_takes_all_idle_ones_along),
            TEST(a_child_lets_go_of_its_parents_connections_and_the_parent_keeps_them),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
