/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP as this project speaks it, and the only file that knows libcurl: HTTPS verified with no way
 * to turn that off, no redirects, no cookies, no .netrc, answers capped. Plain HTTP exists for the
 * ECS metadata service and the credentials URI alone, whose addresses are links inside a machine.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/buffer.h>

#include "../error.h"
#include "../settings.h"

enum { HTTP_ANSWER_MAX = 256 * 1024 }; /* bytes */

struct http_request {
    const char *method;         /* "GET", "POST" or "PUT" */
    const char *url;            /* https only, unless plain_http_allowed */
    const char *const *headers; /* "Name: value" lines, ended by NULL; may be NULL */
    const char *body;           /* NULL: none (a POST then has Content-Length: 0) */
    size_t body_size;           /* bytes */
    int64_t deadline;           /* see deadline.h; the whole exchange ends by it */
    int64_t connect_timeout;    /* milliseconds; 0: the settings' */
    bool plain_http_allowed;
    bool proxy_refused; /* never through a proxy: the metadata service */
};

struct http_answer {
    long status;         /* HTTP status code */
    BUF_MEM *body;       /* body->length bytes; may be empty, never NULL after success */
    int64_t date;        /* the Date header, seconds since 1970; -1: none */
    int64_t retry_after; /* x-acs-retry-after, milliseconds; -1: none */
};

/*
 * Connections kept alive, for one settings file. Any thread may use it; one connection serves one
 * call at a time. A child after fork() leaves its parent's connections untouched.
 */
struct http_client;

/* settings must outlive the client. NULL when out of memory. */
struct http_client *http_client_new(const struct settings *settings);
void http_client_free(struct http_client *client);
DEFINE_CLEANUP(struct http_client *, http_client_free);

/*
 * Sends a request and reads the answer, whatever its HTTP status. Returns 1, with *answer to be
 * released by http_answer_release(); or 0 with *error set (UNREACHABLE, NOT_TRUSTED, TIMEOUT,
 * BAD_ANSWER, OUT_OF_MEMORY, INTERNAL) naming host and cause, and nothing to release.
 */
int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error);

/* For pthread_atfork(): held while the process forks; forked in the child, which holds the lock. */
void http_client_lock(struct http_client *client);
void http_client_unlock(struct http_client *client);
void http_client_forked(struct http_client *client);

/* Cleanses and frees the body. A zeroed answer is fine. */
void http_answer_release(struct http_answer *answer);

#endif
