/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS request as a device, as an example of <aliyun-iot/ssl.h> with libcurl:
 *
 *     curl_identity URL CAFILE URI
 *
 * Prints the answer. Exit status: 0 done, 1 failed, 2 wrong usage.
 */
#include <stdio.h>

#include <curl/curl.h>
#include <openssl/err.h>

#include <aliyun-iot/ssl.h>

static CURLcode use_identity(CURL *handle, void *ssl_ctx, void *uri)
{
    (void)handle;
    if (aliyun_iot_use_identity(ssl_ctx, uri))
        return CURLE_OK;
    ERR_print_errors_fp(stderr);
    return CURLE_SSL_CERTPROBLEM;
}

int main(int argc, char **argv)
{
    CURL *handle = curl_easy_init();
    CURLcode code = CURLE_FAILED_INIT;

    if (argc != 4) {
        fputs("usage: curl_identity URL CAFILE URI\n", stderr);
        return 2;
    }
    if (handle) {
        curl_easy_setopt(handle, CURLOPT_URL, argv[1]);
        curl_easy_setopt(handle, CURLOPT_CAINFO, argv[2]);
        curl_easy_setopt(handle, CURLOPT_SSL_CTX_FUNCTION, use_identity);
        curl_easy_setopt(handle, CURLOPT_SSL_CTX_DATA, argv[3]);
        code = curl_easy_perform(handle);
    }
    if (code != CURLE_OK)
        fprintf(stderr, "curl_identity: %s\n", curl_easy_strerror(code));
    curl_easy_cleanup(handle);
    return code == CURLE_OK ? 0 : 1;
}
