/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "../background.h"
#include "../buffer.h"
#include "../deadline.h"
#include "../trace.h"

enum {
    HEADERS_MAX = 64 * 1024, /* bytes of all headers of an answer */
    SOCKETS_MAX = 4,         /* a connection attempt races IPv6 and IPv4 */
    IDLE_MAX = 32,           /* connections kept alive */
    POLL_MAX = 200           /* milliseconds until the end of the process is noticed */
};

/* An easy handle, in a multi handle of its own that keeps at most one connection alive. */
struct connection {
    struct connection *next;
    CURL *curl;
    CURLM *multi;
    int sockets[SOCKETS_MAX]; /* -1: free */
};

struct http_client {
    const struct settings *settings;
    pthread_mutex_t lock;
    struct connection *idle;
    size_t idle_count;
};

/* One exchange under way, as the callbacks see it. */
struct exchange {
    struct http_answer *answer;
    size_t header_bytes;
    bool too_large;
    bool out_of_memory;
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
    global_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void connection_free(struct connection *connection)
{
    curl_easy_cleanup(connection->curl);
    curl_multi_cleanup(connection->multi);
    free(connection);
}
DEFINE_CLEANUP(struct connection *, connection_free);

/* Remembers sockets, so that a forked child can let go of them without a word to the server. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct connection *connection = context;
    int opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    for (size_t index = 0; opened >= 0 && index < SOCKETS_MAX; index++) {
        if (connection->sockets[index] < 0) {
            connection->sockets[index] = opened;
            break;
        }
    }
    return opened < 0 ? CURL_SOCKET_BAD : opened;
}

static int close_socket(void *context, curl_socket_t closed)
{
    struct connection *connection = context;

    for (size_t index = 0; index < SOCKETS_MAX; index++)
        if (connection->sockets[index] == closed)
            connection->sockets[index] = -1;
    return close(closed);
}

static size_t receive_body(char *bytes, size_t one, size_t size, void *context)
{
    struct exchange *exchange = context;

    (void)one;
    if (size > HTTP_ANSWER_MAX - exchange->answer->body->length) {
        exchange->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (!buffer_append(exchange->answer->body, bytes, size)) {
        exchange->out_of_memory = true;
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
    enum { RETRY_AFTER_MAX = 3600 * 1000 };
    struct exchange *exchange = context;
    char *value;

    (void)one;
    exchange->header_bytes += size;
    if (exchange->header_bytes > HEADERS_MAX) {
        exchange->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if ((value = header_value(line, size, "Date"))) {
        exchange->answer->date = curl_getdate(value, NULL);
        free(value);
    } else if ((value = header_value(line, size, "x-acs-retry-after"))) {
        long milliseconds = strtol(value, NULL, 10);

        if (milliseconds > 0 && milliseconds <= RETRY_AFTER_MAX)
            exchange->answer->retry_after = milliseconds;
        free(value);
    }
    return size;
}

/* Options that every exchange has in common. Returns whether all were taken. */
static bool set_common_options(CURL *curl, struct connection *connection)
{
    bool failed = false;

#define SET(option, value) failed |= curl_easy_setopt(curl, option, value) != CURLE_OK
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "aliyun-iot-provider/" VERSION);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, connection);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, connection);
    SET(CURLOPT_WRITEFUNCTION, receive_body);
    SET(CURLOPT_HEADERFUNCTION, receive_header);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTP_ANSWER_MAX);
    return !failed;
}

/* The settings' proxy; else curl's own environment variables, unless the process is privileged. */
static const char *proxy_of(const struct settings *settings, const struct http_request *request)
{
    if (request->proxy_refused)
        return "";
    if (settings->proxy)
        return settings->proxy;
    return getauxval(AT_SECURE) ? "" : NULL;
}

static bool set_request_options(CURL *curl, const struct settings *settings,
        const struct http_request *request, struct curl_slist *headers)
{
    int64_t left = deadline_left(request->deadline);
    int64_t connect_timeout =
            request->connect_timeout ? request->connect_timeout : settings->connect_timeout;
    bool failed = false;

    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_PROTOCOLS_STR, request->plain_http_allowed ? "http,https" : "https");
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, (long)left);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_timeout < left ? connect_timeout : left));
    SET(CURLOPT_PROXY, proxy_of(settings, request));
    if (settings->ca_file) {
        SET(CURLOPT_CAINFO, settings->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    /* Handles are used again: what the last request set must be taken back. */
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

    /* Without a colon's value, curl leaves out a header that it would send by itself. */
    if (!append_header(&headers, "Expect:"))
        return NULL;
    if (!request->body && !append_header(&headers, "Content-Type:"))
        return NULL;
    for (const char *const *line = request->headers; line && *line; line++)
        if (!append_header(&headers, *line))
            return NULL;
    return take(headers);
}

static struct connection *connection_new(void)
{
    CLEANUP(connection_free) struct connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return NULL;
    for (size_t index = 0; index < SOCKETS_MAX; index++)
        connection->sockets[index] = -1;
    connection->curl = curl_easy_init();
    connection->multi = curl_multi_init();
    if (!connection->curl || !connection->multi ||
            curl_multi_setopt(connection->multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK ||
            !set_common_options(connection->curl, connection))
        return NULL;
    return take(connection);
}

static struct connection *take_connection(struct http_client *client)
{
    struct connection *connection;

    pthread_mutex_lock(&client->lock);
    connection = client->idle;
    if (connection) {
        client->idle = connection->next;
        client->idle_count--;
    }
    pthread_mutex_unlock(&client->lock);
    return connection ? connection : connection_new();
}

static void give_back_connection(struct http_client *client, struct connection *connection)
{
    pthread_mutex_lock(&client->lock);
    if (client->idle_count < IDLE_MAX) {
        connection->next = client->idle;
        client->idle = connection;
        client->idle_count++;
        connection = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    if (connection)
        connection_free(connection);
}

static enum aliyun_iot_reason reason_of(CURLcode code, const struct exchange *exchange)
{
    if (exchange->out_of_memory)
        return ALIYUN_IOT_REASON_OUT_OF_MEMORY;
    if (exchange->too_large)
        return ALIYUN_IOT_REASON_BAD_ANSWER;
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return ALIYUN_IOT_REASON_OUT_OF_MEMORY;
    case CURLE_OPERATION_TIMEDOUT:
        return ALIYUN_IOT_REASON_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return ALIYUN_IOT_REASON_NOT_TRUSTED;
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return ALIYUN_IOT_REASON_BAD_ANSWER;
    default:
        return ALIYUN_IOT_REASON_UNREACHABLE;
    }
}

static const char *advice_for(enum aliyun_iot_reason reason)
{
    switch (reason) {
    case ALIYUN_IOT_REASON_TIMEOUT:
        return "; check the network, or raise timeout in aliyun-iot.conf";
    case ALIYUN_IOT_REASON_NOT_TRUSTED:
        return "; check endpoint and ca-file in aliyun-iot.conf";
    case ALIYUN_IOT_REASON_UNREACHABLE:
        return "; check the network, and endpoint and proxy in aliyun-iot.conf";
    default:
        return "";
    }
}

/* scheme://host[:port]: what a message names; a path or query may be long or hold a token. */
static int origin_size(const char *url)
{
    const char *host = strstr(url, "://");

    host = host ? host + 3 : url;
    return (int)(host - url + (ptrdiff_t)strcspn(host, "/?#"));
}

/* libcurl's TLS is the program's own OpenSSL, which may have been left without algorithms. */
static bool program_has_no_default_provider(void)
{
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);

    EVP_MD_free(digest);
    return !digest;
}

static int explain_failure(CURLcode code, const char *detail, const struct http_request *request,
        const struct exchange *exchange, struct aliyun_iot_error **error)
{
    enum aliyun_iot_reason reason = reason_of(code, exchange);

    if (reason == ALIYUN_IOT_REASON_OUT_OF_MEMORY)
        return error_set_out_of_memory(error);
    if (reason == ALIYUN_IOT_REASON_UNREACHABLE && program_has_no_default_provider())
        return error_set(error, ALIYUN_IOT_REASON_INTERNAL,
                "%.*s: TLS has no algorithms in this program; activate OpenSSL's default provider "
                "in openssl.cnf, before aliyun-iot",
                origin_size(request->url), request->url);
    if (exchange->too_large || code == CURLE_FILESIZE_EXCEEDED)
        detail = "the answer is larger than 256 KiB";
    return error_set(error, reason, "%.*s: %s%s", origin_size(request->url), request->url,
            *detail ? detail : curl_easy_strerror(code), advice_for(reason));
}

/* The result of the transfer that has just ended. */
static CURLcode transfer_result(CURLM *multi)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(multi, &left);

    return message && message->msg == CURLMSG_DONE ? message->data.result
                                                   : CURLE_ABORTED_BY_CALLBACK;
}

/* As curl_easy_perform() does it, but outside of the gate while there is nothing but to wait. */
static CURLcode transfer(const struct connection *connection)
{
    CURLM *multi = connection->multi;
    CURLMcode code = curl_multi_add_handle(multi, connection->curl);
    CURLcode result;
    int running = 1;

    while (code == CURLM_OK && !background_stopping()) {
        code = curl_multi_perform(multi, &running);
        if (code != CURLM_OK || running == 0)
            break;
        background_leave_gate();
        code = curl_multi_poll(multi, NULL, 0, POLL_MAX, NULL);
        background_enter_gate();
    }
    result = code == CURLM_OK ? transfer_result(multi) : CURLE_OUT_OF_MEMORY;
    curl_multi_remove_handle(multi, connection->curl);
    return result;
}

static int perform(struct http_client *client, struct connection *connection,
        const struct http_request *request, struct http_answer *answer,
        struct aliyun_iot_error **error)
{
    CLEANUP(slist_free) struct curl_slist *headers = make_headers(request);
    struct exchange exchange = {.answer = answer};
    char detail[CURL_ERROR_SIZE] = "";
    CURL *curl = connection->curl;
    CURLcode code;

    if (!headers || !set_request_options(curl, client->settings, request, headers) ||
            curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail) != CURLE_OK)
        return error_set_out_of_memory(error);
    ERR_set_mark();
    code = transfer(connection);
    /* The handle outlives these: the list, and detail on this stack. */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL);
    if (code != CURLE_OK)
        explain_failure(code, detail, request, &exchange, error);
    ERR_pop_to_mark();
    if (code != CURLE_OK)
        return 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    return 1;
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    int64_t begun = monotonic_milliseconds();
    struct connection *connection;
    int done;

    *answer = (struct http_answer){.date = -1, .retry_after = -1};
    if (deadline_left(request->deadline) == 0)
        return error_set(error, ALIYUN_IOT_REASON_TIMEOUT, "%.*s: no time was left to ask%s",
                origin_size(request->url), request->url, advice_for(ALIYUN_IOT_REASON_TIMEOUT));
    pthread_once(&global_once, global_init);
    if (global_state != CURLE_OK)
        return error_set(error, ALIYUN_IOT_REASON_INTERNAL, "libcurl cannot be initialised: %s",
                curl_easy_strerror(global_state));
    connection = take_connection(client);
    answer->body = BUF_MEM_new();
    if (!connection || !answer->body) {
        http_answer_release(answer);
        if (connection)
            connection_free(connection);
        return error_set_out_of_memory(error);
    }
    done = perform(client, connection, request, answer, error);
    trace(client->settings, TRACE_DEBUG, "http method=%s origin=%.*s status=%ld bytes=%zu ms=%lld",
            request->method, origin_size(request->url), request->url, answer->status,
            answer->body->length, (long long)(monotonic_milliseconds() - begun));
    if (done) {
        give_back_connection(client, connection);
    } else {
        /* Whatever went wrong on that connection, the next call does not meet it. */
        connection_free(connection);
        http_answer_release(answer);
    }
    return done;
}

void http_answer_release(struct http_answer *answer)
{
    BUF_MEM_free(answer->body);
    answer->body = NULL;
}

struct http_client *http_client_new(const struct settings *settings)
{
    struct http_client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->settings = settings;
    pthread_mutex_init(&client->lock, NULL);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    while (client->idle) {
        struct connection *connection = take(client->idle);

        client->idle = connection->next;
        connection_free(connection);
    }
    pthread_mutex_destroy(&client->lock);
    free(client);
}

void http_client_lock(struct http_client *client)
{
    pthread_mutex_lock(&client->lock);
}

void http_client_unlock(struct http_client *client)
{
    pthread_mutex_unlock(&client->lock);
}

/*
 * Every socket is turned into /dev/null under its old number: closing the handle then sends the
 * TLS farewell nowhere, and the parent's connection lives on.
 */
void http_client_forked(struct http_client *client)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

    while (client->idle) {
        struct connection *connection = take(client->idle);

        client->idle = connection->next;
        for (size_t index = 0; index < SOCKETS_MAX; index++)
            if (connection->sockets[index] >= 0 && nowhere >= 0)
                dup3(nowhere, connection->sockets[index], O_CLOEXEC);
        if (nowhere >= 0)
            connection_free(connection);
    }
    client->idle_count = 0;
    if (nowhere >= 0)
        close(nowhere);
}
