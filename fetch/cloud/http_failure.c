/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http_failure.h"

#include <stddef.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/provider.h>

#include "base/process.h"
#include "base/url.h"

static enum aliyun_iot_reason reason_of(const struct http_failure *failure)
{
    if (failure->out_of_memory)
        return ALIYUN_IOT_REASON_OUT_OF_MEMORY;
    if (failure->unusable)
        return ALIYUN_IOT_REASON_BAD_ANSWER;
    switch (failure->code) {
    case CURLE_OUT_OF_MEMORY:
        return ALIYUN_IOT_REASON_OUT_OF_MEMORY;
    case CURLE_FAILED_INIT:
    case CURLE_NOT_BUILT_IN:
        return ALIYUN_IOT_REASON_INTERNAL;
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

static bool can_fetch_digest(void)
{
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);

    EVP_MD_free(digest);
    return digest != NULL;
}

/*
 * libcurl's TLS is the program's own OpenSSL, which openssl.cnf may have left without what TLS
 * needs. Returns what is wrong with it and what to do; NULL: nothing.
 */
static const char *find_fault_of_openssl(void)
{
    if (can_fetch_digest())
        return OSSL_PROVIDER_available(NULL, "default") || OSSL_PROVIDER_available(NULL, "base")
                       ? NULL
                       : "TLS cannot read keys in this program; activate OpenSSL's base provider "
                         "beside the FIPS provider in openssl.cnf";
    return EVP_default_properties_is_fips_enabled(NULL)
                   ? "TLS has no algorithms in this program: openssl.cnf demands fips=yes, and "
                     "OpenSSL's FIPS provider is not active; activate it, and the base provider, "
                     "or drop fips=yes from default_properties"
                   : "TLS has no algorithms in this program; activate OpenSSL's default provider "
                     "in openssl.cnf, before aliyun-iot";
}

/* libcurl 8.23 waits in vain if it cannot start a thread that resolves the name. */
static bool is_of_names(const struct http_failure *failure)
{
    return failure->code == CURLE_COULDNT_RESOLVE_HOST ||
           failure->code == CURLE_COULDNT_RESOLVE_PROXY ||
           (failure->code == CURLE_OPERATION_TIMEDOUT && failure->unresolved &&
                   process_lacks_threads());
}

/* Whether the failure may be one of TLS. libcurl calls an SSL_CTX that cannot be made no memory. */
static bool may_be_of_tls(const struct http_failure *failure)
{
    return !is_of_names(failure) && failure->code != CURLE_COULDNT_CONNECT &&
           failure->code != CURLE_OPERATION_TIMEDOUT && !failure->unusable &&
           !failure->out_of_memory;
}

static const char *detail_of(const struct http_failure *failure)
{
    if (failure->code == CURLE_FILESIZE_EXCEEDED)
        return "the answer is larger than 256 KiB";
    return *failure->detail ? failure->detail : curl_easy_strerror(failure->code);
}

int http_failure_explain(
        const struct http_failure *failure, const char *url, struct aliyun_iot_error **error)
{
    enum aliyun_iot_reason reason = reason_of(failure);
    const char *fault = may_be_of_tls(failure) ? find_fault_of_openssl() : NULL;

    if (fault)
        return error_set(
                error, ALIYUN_IOT_REASON_INTERNAL, "%.*s: %s", url_origin_size(url), url, fault);
    if (is_of_names(failure) && process_lacks_threads())
        return error_set(error, reason,
                "%.*s: its name, or the proxy's, cannot be resolved on this thread, and no other "
                "can be started; check the name, raise RLIMIT_NPROC or TasksMax of the systemd "
                "unit, or write an address for the name",
                url_origin_size(url), url);
    if (reason == ALIYUN_IOT_REASON_OUT_OF_MEMORY)
        return error_set_out_of_memory(error);
    return error_set(error, reason, "%.*s: %s%s", url_origin_size(url), url, detail_of(failure),
            advice_for(reason));
}
