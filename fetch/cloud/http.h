/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP as this project uses it: HTTPS, always verified, no redirects, no cookies, no .netrc, a
 * maximum size for answers. Plain HTTP is only for the ECS metadata service and the credentials
 * URI, whose addresses do not leave the machine. Only http*.c and libcurl.c know libcurl.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/buffer.h>

#include "base/error.h"
#include "base/settings.h"

enum { HTTP_ANSWER_MAX_BYTES = 256 * 1024 };

struct http_options {
    const char *ca_file; /* PEM file of the CAs that are trusted; NULL: the system's */
    const char *proxy;   /* as libcurl's CURLOPT_PROXY; NULL: from the environment, as curl */
    int64_t connect_timeout_ms;   /* for name resolution, TCP and TLS handshake together */
    const struct settings *trace; /* exchanges are traced there, see trace.h */
};

struct http_request {
    const char *method;         /* "GET", "POST" or "PUT" */
    const char *url;            /* https only, unless plain_http_allowed */
    const char *const *headers; /* "Name: value" lines, ended by NULL; may be NULL */
    const char *body;           /* NULL: none (a POST then has Content-Length: 0) */
    size_t body_size;           /* bytes */
    int64_t deadline;           /* see deadline.h; the whole exchange ends by it */
    int64_t connect_timeout_ms; /* 0: as in the options */
    bool plain_http_allowed;    /* the connection is then closed after the exchange */
    bool proxy_refused;         /* never through a proxy: the metadata service */
    bool new_connection;        /* never on a kept one, where it may be sent twice or fail early */
};

struct http_answer {
    long status;            /* HTTP status code */
    BUF_MEM *body;          /* body->length bytes; may be empty, never NULL after success */
    int64_t date_s;         /* the Date header, seconds since 1970; -1: none */
    int64_t retry_after_ms; /* x-acs-retry-after; -1: none */
};

/*
 * A pool of connections that are kept alive between exchanges. Any thread may use it; one
 * connection serves one exchange at a time. A child after fork() never uses its parent's
 * connections.
 */
struct http_client;

/* Copies *options; what it points to must outlive the client. NULL when out of memory. */
struct http_client *http_client_new(const struct http_options *options);
void http_client_free(struct http_client *client);
DEFINE_CLEANUP(struct http_client *, http_client_free);

/*
 * Sends a request and reads the answer, whatever its HTTP status. An exchange on a connection that
 * was kept has half of the time until the deadline, because the network may have dropped that
 * connection silently: the caller can then try again, and every other idle connection is closed.
 * Returns 1, with *answer to be released by http_answer_release(); or 0 with *error set
 * (UNREACHABLE, NOT_TRUSTED, TIMEOUT, BAD_ANSWER, OUT_OF_MEMORY, INTERNAL), which names the host
 * and the cause, and nothing to release.
 */
int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error);

/* Cleanses and frees the body. A zeroed answer is fine. */
void http_answer_release(struct http_answer *answer);

#endif
