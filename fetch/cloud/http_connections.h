/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of an HTTP client: which are in use, which are idle, and what becomes of them
 * after a time-out and after fork(). Private to http.c; the functions of http.h that create and
 * free a client are here too.
 */
#ifndef HTTP_CONNECTIONS_H
#define HTTP_CONNECTIONS_H

#include <pthread.h>
#include <sys/types.h>

#include <curl/curl.h>

#include "base/process.h"
#include "cloud/http.h"

enum { HTTP_SOCKETS_MAX = 8 }; /* several connection attempts run at once, IPv6 and IPv4 */

/* A socket, known by its inode as well: the program may close the descriptor and reuse its number.
 */
struct http_socket {
    int descriptor; /* -1: this place is free */
    dev_t device;
    ino_t inode;
};

/* An easy handle, in a multi handle of its own that keeps at most one connection alive. */
struct http_connection {
    struct http_client *client;
    struct http_connection *next, *previous; /* in the client's list */
    bool idle;
    CURL *curl;
    CURLM *multi;
    /* For the thread that uses it: whether it opened a socket since it was taken. */
    bool socket_opened;
    struct http_socket sockets[HTTP_SOCKETS_MAX];
};

struct http_client {
    struct http_options options;
    pthread_mutex_t lock; /* for what follows, and for the sockets of each connection */
    struct http_connection *connections; /* idle and in use */
    size_t idle_count;
    struct fork_participant fork;
};

/* An idle connection, or a new one; NULL when out of memory. */
struct http_connection *http_connection_take(struct http_client *client);

/* A new connection, whatever is idle; NULL when out of memory. */
struct http_connection *http_connection_new(struct http_client *client);

/* Makes a connection that was taken idle again, or closes it when there are enough. */
void http_connection_give_back(struct http_connection *connection);

/* Closes a connection that was taken. */
void http_connection_close(struct http_connection *connection);

/* In a child of fork(), with the lock held: lets go of the parent's connections. */
void http_client_forget_connections(void *client);

/* Closes all idle connections. */
void http_client_close_idle(struct http_client *client);

#endif
