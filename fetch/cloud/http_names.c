/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http_names.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/process.h"
#include "base/text.h"
#include "base/url.h"

static inline void addresses_free(struct addrinfo *addresses)
{
    if (addresses)
        freeaddrinfo(addresses);
}
DEFINE_CLEANUP(struct addrinfo *, addresses_free);

/* Appends the addresses, separated by commas. */
static bool append_addresses(BUF_MEM *to, const struct addrinfo *addresses)
{
    const char *separator = "";

    for (const struct addrinfo *each = addresses; each; each = each->ai_next) {
        bool is_ipv6 = each->ai_family == AF_INET6;
        char text[NI_MAXHOST];

        if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof(text), NULL, 0,
                    NI_NUMERICHOST) != 0)
            continue;
        if (!buffer_append_format(
                    to, "%s%s%s%s", separator, is_ipv6 ? "[" : "", text, is_ipv6 ? "]" : ""))
            return false;
        separator = ",";
    }
    return *separator != '\0';
}

struct curl_slist *http_names_resolve(const char *url)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    CLEANUP(addresses_free) struct addrinfo *addresses = NULL;
    CLEANUP(BUF_MEM_free) BUF_MEM *line = BUF_MEM_new();
    CLEANUP(free) char *host = NULL;
    CLEANUP(free) char *port = NULL;
    struct url parts;

    if (!line || !url_split(url, &parts) || parts.host_size == 0 || *parts.host == '[')
        return NULL;
    host = strndup(parts.host, parts.host_size);
    port = parts.port                       ? strndup(parts.port, parts.port_size)
           : url_has_scheme(&parts, "http") ? strdup("80")
                                            : strdup("443");
    if (!host || !port || WAIT_OUTSIDE(getaddrinfo(host, NULL, &hints, &addresses)) != 0)
        return NULL;
    /* +: it expires as any other name does. */
    if (!buffer_append_format(line, "+%s:%s:", host, port) || !append_addresses(line, addresses) ||
            !buffer_text(line))
        return NULL;
    return curl_slist_append(NULL, line->data);
}
