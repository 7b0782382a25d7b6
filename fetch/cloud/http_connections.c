/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http_connections.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IDLE_MAX = 32,         /* connections kept alive */
    KEEPALIVE_IDLE_S = 30, /* below the time after which a NAT forgets a silent connection */
    KEEPALIVE_INTERVAL_S = 10,
    /* CURLMOPT_QUICK_EXIT, which the headers before libcurl 8.20 lack. */
    MULTI_QUICK_EXIT = CURLOPTTYPE_LONG + 21
};

/*
 * A connection that the network dropped silently must fail soon: the kernel probes an idle one, and
 * gives one up whose peer does not acknowledge what was sent. Both only help, so a kernel that
 * lacks them is no error.
 */
static void detect_dead_peer(int descriptor, int64_t connect_timeout_ms)
{
    const int on = 1, idle_s = KEEPALIVE_IDLE_S, interval_s = KEEPALIVE_INTERVAL_S;
    /* The kernel applies it to the handshake too, so it cannot be shorter than that may take. */
    const unsigned int unacknowledged_ms = (unsigned int)connect_timeout_ms;

    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
            sizeof(unacknowledged_ms));
}

static struct http_socket *find_socket(struct http_connection *connection, int descriptor)
{
    for (size_t index = 0; index < HTTP_SOCKETS_MAX; index++)
        if (connection->sockets[index].descriptor == descriptor)
            return &connection->sockets[index];
    return NULL;
}

/* Under the lock, so that a fork finds each open socket in its connection. */
static int open_and_remember(struct http_connection *connection, struct curl_sockaddr *address)
{
    struct http_socket *place = find_socket(connection, -1);
    struct stat status;
    int opened;

    if (!place)
        return -1;
    opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (opened < 0)
        return -1;
    if (fstat(opened, &status) != 0) {
        close(opened);
        return -1;
    }
    *place = (struct http_socket){opened, status.st_dev, status.st_ino};
    return opened;
}

/* libcurl's CURLOPT_OPENSOCKETFUNCTION. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_connection *connection = context;
    struct http_client *client = connection->client;
    int opened;

    (void)purpose;
    connection->socket_opened = true;
    pthread_mutex_lock(&client->lock);
    opened = open_and_remember(connection, address);
    pthread_mutex_unlock(&client->lock);
    if (opened < 0)
        return CURL_SOCKET_BAD;
    detect_dead_peer(opened, client->options.connect_timeout_ms);
    return opened;
}

/* libcurl's CURLOPT_CLOSESOCKETFUNCTION. */
static int close_socket(void *context, curl_socket_t descriptor)
{
    struct http_connection *connection = context;
    struct http_client *client = connection->client;
    struct http_socket *place;
    int result;

    pthread_mutex_lock(&client->lock);
    place = find_socket(connection, descriptor);
    if (place)
        place->descriptor = -1;
    result = close(descriptor);
    pthread_mutex_unlock(&client->lock);
    return result;
}

static void link_connection(struct http_connection *connection)
{
    struct http_client *client = connection->client;

    connection->next = client->connections;
    if (connection->next)
        connection->next->previous = connection;
    client->connections = connection;
}

static void unlink_connection(struct http_connection *connection)
{
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        connection->client->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
}

/*
 * Without QUICK_EXIT libcurl waits for its thread that resolves a name, which can take long after
 * the exchange ended, and the caller's thread holds up fork() and exit() meanwhile. libcurl up to
 * 8.19 reads the option of the easy handle, later versions that of the multi handle, which earlier
 * ones refuse.
 */
static bool set_up(struct http_connection *connection)
{
    CURL *curl = connection->curl;

    curl_multi_setopt(connection->multi, (CURLMoption)MULTI_QUICK_EXIT, 1L);
    return curl_multi_setopt(connection->multi, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK &&
           curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, connection) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, connection) == CURLE_OK;
}

struct http_connection *http_connection_new(struct http_client *client)
{
    struct http_connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return NULL;
    connection->client = client;
    for (size_t index = 0; index < HTTP_SOCKETS_MAX; index++)
        connection->sockets[index].descriptor = -1;
    pthread_mutex_lock(&client->lock);
    link_connection(connection);
    pthread_mutex_unlock(&client->lock);
    connection->curl = curl_easy_init();
    connection->multi = curl_multi_init();
    if (!connection->curl || !connection->multi || !set_up(connection)) {
        http_connection_close(connection);
        return NULL;
    }
    return connection;
}

static struct http_connection *take_idle(struct http_client *client)
{
    struct http_connection *connection;

    pthread_mutex_lock(&client->lock);
    for (connection = client->connections; connection; connection = connection->next) {
        if (connection->idle) {
            connection->idle = false;
            client->idle_count--;
            break;
        }
    }
    pthread_mutex_unlock(&client->lock);
    return connection;
}

struct http_connection *http_connection_take(struct http_client *client)
{
    struct http_connection *connection = take_idle(client);

    if (connection)
        connection->socket_opened = false;
    return connection ? connection : http_connection_new(client);
}

void http_connection_give_back(struct http_connection *connection)
{
    struct http_client *client = connection->client;
    bool enough;

    pthread_mutex_lock(&client->lock);
    enough = client->idle_count >= IDLE_MAX;
    if (!enough) {
        connection->idle = true;
        client->idle_count++;
    }
    pthread_mutex_unlock(&client->lock);
    if (enough)
        http_connection_close(connection);
}

/* It leaves the list last, so that a fork meanwhile still finds its sockets. */
void http_connection_close(struct http_connection *connection)
{
    curl_easy_cleanup(connection->curl);
    curl_multi_cleanup(connection->multi);
    pthread_mutex_lock(&connection->client->lock);
    unlink_connection(connection);
    pthread_mutex_unlock(&connection->client->lock);
    free(connection);
}

void http_client_close_idle(struct http_client *client)
{
    struct http_connection *connection;

    while ((connection = take_idle(client)))
        http_connection_close(connection);
}

/* The socket's number then stands for /dev/null, unless the program uses it for something else. */
static void let_go(struct http_socket *held, int nowhere)
{
    struct stat status;

    if (held->descriptor < 0 || fstat(held->descriptor, &status) != 0 ||
            status.st_dev != held->device || status.st_ino != held->inode)
        return;
    if (nowhere >= 0)
        dup3(nowhere, held->descriptor, O_CLOEXEC);
    else
        close(held->descriptor);
    held->descriptor = -1;
}

/*
 * A socket that the child kept open would keep the parent's connection open after the parent closed
 * it, and a TLS close_notify by the child would end the parent's connection. So all sockets go,
 * idle or in use. The handles stay as they are, and this leak is right: a thread of the parent may
 * have been inside one of them at the fork, and to free any of them can wait for ever for a lock of
 * libcurl's, libcrypto's or the program's that another thread held at that moment.
 */
void http_client_forget_connections(void *context)
{
    /* Reachable, so that no search for leaks reports them, even if the client is freed. */
    static struct http_connection *inherited;
    struct http_client *client = context;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct http_connection *last = NULL;

    for (struct http_connection *each = client->connections; each; each = each->next) {
        for (size_t index = 0; index < HTTP_SOCKETS_MAX; index++)
            let_go(&each->sockets[index], nowhere);
        last = each;
    }
    if (last) {
        last->next = inherited;
        inherited = client->connections;
    }
    client->connections = NULL;
    client->idle_count = 0;
    if (nowhere >= 0)
        close(nowhere);
}

struct http_client *http_client_new(const struct http_options *options)
{
    struct http_client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->options = *options;
    pthread_mutex_init(&client->lock, NULL);
    client->fork = (struct fork_participant){.lock = &client->lock,
            .reset_in_child = http_client_forget_connections,
            .context = client};
    process_register(&client->fork);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    http_client_close_idle(client);
    process_unregister(&client->fork);
    pthread_mutex_destroy(&client->lock);
    free(client);
}
