/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first fetch of a process, which OSSL_STORE_open() does and checks, against the same signed
 * HTTPS POST by libcurl alone:
 *
 *     bench_cold uri URI
 *     bench_cold curl ENDPOINT CA_FILE PRODUCT_KEY DEVICE_NAME
 *
 * Prints the microseconds since the start of main().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/store.h>

#include "cloud/openapi_request.h"

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

    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    if (!curl || !body || !openapi_request_make(&request, &call, &credentials, time(NULL), NULL))
        return 0;
    for (size_t index = 0; index < request.header_count; index++)
        headers = curl_slist_append(headers, request.header_lines[index]->data);
    headers = curl_slist_append(headers, "Content-Type:");
    curl_easy_setopt(curl, CURLOPT_URL, request.url->data);
    curl_easy_setopt(curl, CURLOPT_CAINFO, arguments[1]);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    code = curl_easy_perform(curl);
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
