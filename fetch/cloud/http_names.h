/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names for a process that cannot have another thread. libcurl resolves names on a thread of
 * its own, and takes one that cannot be made for a name that does not exist.
 */
#ifndef HTTP_NAMES_H
#define HTTP_NAMES_H

#include <curl/curl.h>

/*
 * Resolves the host of the URL on this thread. Blocks for as long as the C library's resolver does.
 * Returns a list for CURLOPT_RESOLVE, to be freed; or NULL: it cannot be resolved, or is an IPv6
 * address.
 */
struct curl_slist *http_names_resolve(const char *url);

#endif
