/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/privileged.h"
#include "base/process.h"
#include "base/trace.h"
#include "base/url.h"
#include "cloud/http_connections.h"
#include "cloud/http_failure.h"
#include "cloud/http_names.h"
#include "cloud/libcurl.h"

enum {
    HEADERS_MAX_BYTES = 64 * 1024, /* bytes of all headers of an answer */
    POLL_MAX_MS = 1000             /* curl_multi_poll() returns earlier for timers of its own */
};

/* One exchange under way, as the callbacks see it. */
struct exchange {
    struct http_connection *connection;
    struct http_answer *answer;
    int64_t left_ms;       /* for the whole exchange, above 0 */
    int64_t kept_deadline; /* for an answer on a connection that was kept */
    bool sent;             /* the request goes out */
    bool on_kept;          /* the request goes out on a connection that was kept */
    size_t header_bytes;
    struct http_failure failure;
    char detail[CURL_ERROR_SIZE]; /* libcurl's words about a failure */
};

/* A header may be a security token. */
static inline void slist_free(struct curl_slist *list)
{
    for (struct curl_slist *line = list; line; line = line->next)
        OPENSSL_cleanse(line->data, strlen(line->data));
    curl_slist_free_all(list);
}
DEFINE_CLEANUP(struct curl_slist *, slist_free);

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_state;

static void global_init(void)
{
    global_state = libcurl_init();
}

static size_t receive_body(char *bytes, size_t one, size_t size, void *context)
{
    struct exchange *exchange = context;

    (void)one;
    if (size > HTTP_ANSWER_MAX_BYTES - exchange->answer->body->length) {
        exchange->failure.unusable = true;
        exchange->failure.detail = "the answer is larger than 256 KiB";
        return CURL_WRITEFUNC_ERROR;
    }
    if (!buffer_append(exchange->answer->body, bytes, size)) {
        exchange->failure.out_of_memory = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return size;
}

/* The header's value in a new string if the line is that header; NULL otherwise. */
static char *header_value(const char *line, size_t size, const char *name)
{
    size_t name_size = strlen(name);

    if (size <= name_size || line[name_size] != ':' || strncasecmp(line, name, name_size) != 0)
        return NULL;
    line += name_size + 1;
    size -= name_size + 1;
    while (size > 0 && (*line == ' ' || *line == '\t'))
        line++, size--;
    return strndup(line, size);
}

static size_t receive_header(char *line, size_t one, size_t size, void *context)
{
    enum { RETRY_AFTER_MAX_MS = 3600 * 1000 };
    struct exchange *exchange = context;
    char *value;

    (void)one;
    exchange->header_bytes += size;
    if (exchange->header_bytes > HEADERS_MAX_BYTES) {
        exchange->failure.unusable = true;
        exchange->failure.detail = "the headers of the answer are larger than 64 KiB";
        return CURL_WRITEFUNC_ERROR;
    }
    if ((value = header_value(line, size, "Date"))) {
        exchange->answer->date_s = curl_getdate(value, NULL);
        free(value);
    } else if ((value = header_value(line, size, "x-acs-retry-after"))) {
        long value_ms = strtol(value, NULL, 10);

        if (value_ms > 0 && value_ms <= RETRY_AFTER_MAX_MS)
            exchange->answer->retry_after_ms = value_ms;
        free(value);
    }
    return size;
}

/*
 * libcurl's CURLOPT_PREREQFUNCTION: the connection is there, and the request goes out next. It is
 * called again when libcurl found a kept connection closed and made another.
 */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
    struct exchange *exchange = context;

    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    exchange->on_kept = !exchange->connection->socket_opened;
    exchange->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* Options that every exchange has in common. Returns whether all were taken. */
static bool set_common_options(CURL *curl, struct exchange *exchange)
{
    bool failed = false;

#define SET(option, value) failed |= curl_easy_setopt(curl, option, value) != CURLE_OK
    failed |= libcurl_restrict(curl) != CURLE_OK;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "aliyun-iot-provider/" VERSION);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, exchange);
    SET(CURLOPT_WRITEFUNCTION, receive_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, receive_header);
    SET(CURLOPT_HEADERDATA, exchange);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTP_ANSWER_MAX_BYTES);
    return !failed;
}

/* Without an option, what curl's environment variables say, unless the process is privileged. */
static const char *proxy_of(const struct http_options *options, const struct http_request *request)
{
    if (request->proxy_refused)
        return "";
    if (options->proxy)
        return options->proxy;
    return process_is_privileged() ? "" : NULL;
}

static bool set_request_options(CURL *curl, const struct http_options *options,
        const struct http_request *request, int64_t left_ms, struct curl_slist *headers)
{
    int64_t connect_timeout_ms =
            request->connect_timeout_ms ? request->connect_timeout_ms : options->connect_timeout_ms;
    bool failed = false;

    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_PROTOCOLS_STR, request->plain_http_allowed ? "http,https" : "https");
    SET(CURLOPT_HTTPHEADER, headers);
    /* libcurl takes 0 for no limit at all. */
    SET(CURLOPT_TIMEOUT_MS, (long)left_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
            (long)(connect_timeout_ms < left_ms ? connect_timeout_ms : left_ms));
    SET(CURLOPT_PROXY, proxy_of(options, request));
    if (options->ca_file) {
        SET(CURLOPT_CAINFO, options->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    /* The handle may have served another method before. */
    SET(CURLOPT_CUSTOMREQUEST, strcmp(request->method, "PUT") == 0 ? "PUT" : NULL);
#undef SET
    return !failed;
}

static bool append_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);

    if (!longer)
        return false;
    *headers = longer;
    return true;
}

static struct curl_slist *make_headers(const struct http_request *request)
{
    CLEANUP(slist_free) struct curl_slist *headers = NULL;

    /* A name without a value removes a header that libcurl would send by itself. */
    if (!append_header(&headers, "Expect:"))
        return NULL;
    if (!request->body && !append_header(&headers, "Content-Type:"))
        return NULL;
    for (const char *const *line = request->headers; line && *line; line++)
        if (!append_header(&headers, *line))
            return NULL;
    return take(headers);
}

/* The result of the transfer that has just ended. */
static CURLcode transfer_result(CURLM *multi)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(multi, &left);

    return message && message->msg == CURLMSG_DONE ? message->data.result
                                                   : CURLE_ABORTED_BY_CALLBACK;
}

/* How long to wait for the network now; 0: what a kept connection is given is used up. */
static int64_t poll_ms(const struct exchange *exchange)
{
    int64_t left_ms = exchange->on_kept ? deadline_left_ms(exchange->kept_deadline) : POLL_MAX_MS;

    return left_ms < POLL_MAX_MS ? left_ms : POLL_MAX_MS;
}

/* As curl_easy_perform() does it, but outside the gate of process.h while it waits. */
static CURLcode run_transfer(struct exchange *exchange)
{
    CURLM *multi = exchange->connection->multi;
    CURLMcode code = CURLM_OK;
    int running = 1;

    while (code == CURLM_OK) {
        int64_t wait_ms;

        code = curl_multi_perform(multi, &running);
        if (code != CURLM_OK || running == 0)
            break;
        wait_ms = poll_ms(exchange);
        if (wait_ms == 0) {
            exchange->failure.detail = "no answer on a connection kept from an earlier call";
            return CURLE_OPERATION_TIMEDOUT;
        }
        code = WAIT_OUTSIDE(curl_multi_poll(multi, NULL, 0, (int)wait_ms, NULL));
    }
    return code == CURLM_OK ? transfer_result(multi) : CURLE_OUT_OF_MEMORY;
}

static CURLcode transfer(struct exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    CURLcode result = CURLE_OUT_OF_MEMORY;

    if (curl_multi_add_handle(connection->multi, connection->curl) == CURLM_OK)
        result = run_transfer(exchange);
    curl_multi_remove_handle(connection->multi, connection->curl);
    return result;
}

/* What libcurl says of a header beyond its own limit, which it keeps in memory whole. */
static bool is_beyond_libcurls_limit(CURLcode code)
{
    enum { TOO_LARGE = 100 /* CURLE_TOO_LARGE, which curl.h has from 8.6 on */ };

    return code == CURLE_OUT_OF_MEMORY || (int)code == TOO_LARGE;
}

static int perform(struct exchange *exchange, const struct http_request *request,
        struct aliyun_iot_error **error)
{
    CLEANUP(slist_free) struct curl_slist *headers = make_headers(request);
    CLEANUP(slist_free)
    struct curl_slist *names = process_lacks_threads() ? http_names_resolve(request->url) : NULL;
    struct http_connection *connection = exchange->connection;
    CURL *curl = connection->curl;
    curl_off_t name_lookup_us = 0;

    exchange->failure.detail = exchange->detail;
    if (!headers || !set_common_options(curl, exchange) ||
            !set_request_options(
                    curl, &connection->client->options, request, exchange->left_ms, headers) ||
            curl_easy_setopt(curl, CURLOPT_RESOLVE, names) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->detail) != CURLE_OK)
        return error_set_out_of_memory(error);
    ERR_set_mark();
    exchange->failure.code = transfer(exchange);
    exchange->failure.unresolved =
            curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME_T, &name_lookup_us) == CURLE_OK &&
            name_lookup_us == 0;
    if (exchange->sent && is_beyond_libcurls_limit(exchange->failure.code)) {
        exchange->failure.unusable = true;
        exchange->failure.detail = "a header of the answer is too long, or memory ran out";
    }
    /* The handle outlives these: the list, the body and the buffer. */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(curl, CURLOPT_RESOLVE, NULL);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL);
    if (exchange->failure.code != CURLE_OK)
        http_failure_explain(&exchange->failure, request->url, error);
    ERR_pop_to_mark();
    if (exchange->failure.code != CURLE_OK)
        return 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange->answer->status);
    return 1;
}

/*
 * A connection on which anything failed is closed, so that the next exchange does not meet it.
 * After a time-out all idle ones are closed too, since what silenced this one may have silenced
 * them. Plain HTTP stays inside the machine, where a new connection costs nothing; keeping it would
 * push out one that took a TLS handshake.
 */
static void end_connection(
        const struct exchange *exchange, const struct http_request *request, bool done)
{
    struct http_client *client = exchange->connection->client;

    if (done && !request->plain_http_allowed)
        http_connection_give_back(exchange->connection);
    else
        http_connection_close(exchange->connection);
    if (!request->plain_http_allowed && exchange->failure.code == CURLE_OPERATION_TIMEDOUT)
        http_client_close_idle(client);
}

static bool begin(struct exchange *exchange, struct http_client *client,
        const struct http_request *request, struct http_answer *answer)
{
    exchange->answer = answer;
    answer->body = BUF_MEM_new();
    if (!answer->body)
        return false;
    exchange->connection = request->plain_http_allowed || request->new_connection
                                   ? http_connection_new(client)
                                   : http_connection_take(client);
    return exchange->connection != NULL;
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    int64_t begun = monotonic_milliseconds();
    struct exchange exchange = {.left_ms = request->deadline - begun};
    int done;

    *answer = (struct http_answer){.date_s = -1, .retry_after_ms = -1};
    if (exchange.left_ms <= 0) {
        exchange.failure = (struct http_failure){
                .code = CURLE_OPERATION_TIMEDOUT, .detail = "no time was left to ask"};
        return http_failure_explain(&exchange.failure, request->url, error);
    }
    exchange.kept_deadline = begun + (exchange.left_ms + 1) / 2;
    pthread_once(&global_once, global_init);
    if (global_state != CURLE_OK) {
        exchange.failure = (struct http_failure){
                .code = global_state, .detail = "libcurl cannot be initialised"};
        return http_failure_explain(&exchange.failure, request->url, error);
    }
    if (!begin(&exchange, client, request, answer)) {
        http_answer_release(answer);
        return error_set_out_of_memory(error);
    }
    done = perform(&exchange, request, error);
    trace(client->options.trace, TRACE_DEBUG,
            "http method=%s origin=%.*s status=%ld bytes=%zu ms=%lld", request->method,
            url_origin_size(request->url), request->url, answer->status, answer->body->length,
            (long long)(monotonic_milliseconds() - begun));
    end_connection(&exchange, request, done);
    if (!done)
        http_answer_release(answer);
    return done;
}

void http_answer_release(struct http_answer *answer)
{
    BUF_MEM_free(answer->body);
    answer->body = NULL;
}
