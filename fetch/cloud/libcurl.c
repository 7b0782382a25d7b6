/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/libcurl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/ssl.h>

#include "base/privileged.h"
#include "base/process.h"

/* SSL_CTX_set_keylog_callback() of the libssl that libcurl is linked with. */
static __typeof__(&SSL_CTX_set_keylog_callback) set_keylog_callback;

/*
 * While a distribution moves to a new OpenSSL, libcurl may be linked with another libssl than this
 * module, whose functions must not touch libcurl's SSL_CTX. So the function is looked up among
 * libcurl's own dependencies.
 */
static bool find_keylog_function(void)
{
    void *libcurl, *found = NULL;
    Dl_info place;

    if (dladdr((void *)(uintptr_t)curl_easy_init, &place) == 0)
        return false;
    /* Never closed: this module is never unloaded, so libcurl is not either. */
    libcurl = dlopen(place.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (libcurl)
        found = dlsym(libcurl, "SSL_CTX_set_keylog_callback");
    *(void **)&set_keylog_callback = found;
    return found != NULL;
}

CURLcode libcurl_init(void)
{
    CURLcode code;

    /*
     * curl_global_init() opens the file that SSLKEYLOGFILE names, to append to it
     * (lib/vtls/keylog.c), and does not ask whether the process is privileged. There is no option
     * against it. While unsetenv() runs, a getenv() of another thread may miss a variable. This is
     * acceptable where the caller of a privileged program has set SSLKEYLOGFILE.
     */
    if (process_is_privileged())
        unsetenv("SSLKEYLOGFILE");
    /* If libcurl has several TLS libraries, CURL_SSL_BACKEND could choose another than OpenSSL. */
    if (curl_global_sslset(CURLSSLBACKEND_OPENSSL, NULL, NULL) != CURLSSLSET_OK)
        return CURLE_NOT_BUILT_IN;
    if (!find_keylog_function())
        return CURLE_NOT_BUILT_IN;
    code = curl_global_init(CURL_GLOBAL_DEFAULT);
    process_renew_exit_handler();
    return code;
}

/* libcurl calls this after it has set its own callback, which writes to the key log. */
static CURLcode forbid_key_log(CURL *curl, void *context, void *unused)
{
    (void)curl;
    (void)unused;
    set_keylog_callback(context, NULL);
    return CURLE_OK;
}

CURLcode libcurl_restrict(CURL *curl)
{
    CURLcode code = curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, forbid_key_log);

    /* NULL lets libcurl read no_proxy; an empty list does not. */
    if (code == CURLE_OK && process_is_privileged())
        code = curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    return code;
}
