/* SPDX-License-Identifier: Apache-2.0 */
/* How libcurl is started, and kept from what the environment tells it to do with our secrets. */
#ifndef LIBCURL_H
#define LIBCURL_H

#include <curl/curl.h>

/*
 * Initialises libcurl with OpenSSL as its TLS library. In a privileged process, removes
 * SSLKEYLOGFILE from the environment first. To be called once. Returns CURLE_NOT_BUILT_IN if
 * libcurl uses another TLS library.
 */
CURLcode libcurl_init(void);

/*
 * To be called for each new handle. Its TLS secrets are never logged, and in a privileged process
 * no_proxy is ignored. The handle's proxy is left to the caller.
 */
CURLcode libcurl_restrict(CURL *curl);

#endif
