/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first fetch of a process, which OSSL_STORE_open() does and checks, against the same signed
 * HTTPS POST by libcurl alone:
 *
 *     bench_cold uri URI
 *     bench_cold curl ENDPOINT CA_FILE PRODUCT_KEY DEVICE_NAME
 *
 * Prints the microseconds since the start of main(). Both include the loading of libcurl, which
 * therefore is not linked.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/store.h>

#include "cloud/openapi_request.h"

#define CURL_FUNCTIONS(FUNCTION)                                                                   \
    FUNCTION(global_init)                                                                          \
    FUNCTION(slist_append)                                                                         \
    FUNCTION(easy_init)                                                                            \
    FUNCTION(easy_setopt)                                                                          \
    FUNCTION(easy_perform)

/* curl_NAME() is called as libcurl.NAME(). */
static struct {
#define FUNCTION(name) __typeof__(&(curl_##name)) name;
    CURL_FUNCTIONS(FUNCTION)
#undef FUNCTION
} libcurl;

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_uri(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);

    if (!store)
        ERR_print_errors_fp(stderr);
    return store != NULL;
}

static size_t collect(char *bytes, size_t one, size_t size, void *context)
{
    return buffer_append(context, bytes, one * size) ? size : 0;
}

/* Binds lazily, as a program does that is linked with libcurl. */
static int load_libcurl(void)
{
    void *handle = dlopen("libcurl.so.4", RTLD_LAZY);

    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        return 0;
    }
#define FUNCTION(name) __extension__(libcurl.name = dlsym(handle, "curl_" #name));
    CURL_FUNCTIONS(FUNCTION)
#undef FUNCTION
    return 1;
}

static int by_curl(char **arguments)
{
    struct credentials credentials = {.access_key_id = getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
            .access_key_secret = getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")};
    const struct openapi_parameter parameters[] = {
            {"ProductKey", arguments[2]}, {"DeviceName", arguments[3]}};
    const struct openapi_call call = {.endpoint = arguments[0],
            .action = "QueryDeviceCert",
            .version = "2018-01-20",
            .parameters = parameters,
            .parameter_count = 2};
    struct curl_slist *headers = NULL;
    struct openapi_request request;
    BUF_MEM *body = BUF_MEM_new();
    CURL *curl;
    CURLcode code;

    if (!load_libcurl())
        return 0;
    libcurl.global_init(CURL_GLOBAL_DEFAULT);
    curl = libcurl.easy_init();
    if (!curl || !body || !openapi_request_make(&request, &call, &credentials, time(NULL), NULL))
        return 0;
    for (size_t index = 0; index < request.header_count; index++)
        headers = libcurl.slist_append(headers, request.header_lines[index]->data);
    headers = libcurl.slist_append(headers, "Content-Type:");
    libcurl.easy_setopt(curl, CURLOPT_URL, request.url->data);
    libcurl.easy_setopt(curl, CURLOPT_CAINFO, arguments[1]);
    libcurl.easy_setopt(curl, CURLOPT_CAPATH, NULL);
    libcurl.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    libcurl.easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    libcurl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    libcurl.easy_setopt(curl, CURLOPT_WRITEDATA, body);
    code = libcurl.easy_perform(curl);
    return code == CURLE_OK && buffer_text(body) && strstr(body->data, "PRIVATE KEY");
}

int main(int argc, char **argv)
{
    double begun = microseconds();
    int done = 0;

    if (argc == 3 && strcmp(argv[1], "uri") == 0)
        done = by_uri(argv[2]);
    else if (argc == 6 && strcmp(argv[1], "curl") == 0)
        done = by_curl(argv + 2);
    printf("%.0f\n", microseconds() - begun);
    return done ? 0 : 1;
}
