/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

bool url_split(const char *text, struct url *url)
{
    const char *scheme_end = strstr(text, "://");
    const char *authority, *at;
    size_t left;

    if (!scheme_end)
        return false;
    authority = scheme_end + 3;
    left = strcspn(authority, "/?#");
    *url = (struct url){
            .scheme = text, .scheme_size = (size_t)(scheme_end - text), .rest = authority + left};
    at = memrchr(authority, '@', left);
    url->has_user = at != NULL;
    url->host = at ? at + 1 : authority;
    left = (size_t)(url->rest - url->host);

    if (*url->host == '[') {
        const char *bracket = memchr(url->host, ']', left);

        if (!bracket)
            return false;
        url->host_size = (size_t)(bracket + 1 - url->host);
    } else {
        const char *colon = memchr(url->host, ':', left);

        url->host_size = colon ? (size_t)(colon - url->host) : left;
    }
    if (url->host_size == left)
        return true;
    url->port = url->host + url->host_size + 1;
    url->port_size = left - url->host_size - 1;
    return url->host[url->host_size] == ':';
}

int url_origin_size(const char *text)
{
    struct url url;

    return (int)(url_split(text, &url) ? (size_t)(url.rest - text) : strcspn(text, "/?#"));
}

bool url_has_scheme(const struct url *url, const char *scheme)
{
    return strlen(scheme) == url->scheme_size &&
           strncasecmp(url->scheme, scheme, url->scheme_size) == 0;
}

static bool is_valid_port(const char *port, size_t size)
{
    long number;

    /* The port ends with the URL or at a / ? or #, so strtol() reads nothing beyond it. */
    if (size == 0 || size > 5 || strspn(port, DIGITS) != size)
        return false;
    number = strtol(port, NULL, 10);
    return number > 0 && number <= 65535;
}

bool url_has_valid_host(const struct url *url)
{
    size_t size = url->host_size;

    if (url->port && !is_valid_port(url->port, url->port_size))
        return false;
    if (size > 0 && *url->host == '[')
        return size > 2 && strspn(url->host + 1, DIGITS "abcdefABCDEF:.") == size - 2;
    return size > 0 && strspn(url->host, ALPHANUMERIC ".-") == size;
}
