/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that a service on this machine or in its network hands out by URI. */
#include "cloud/credentials/temporary.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/buffer.h"
#include "base/url.h"

/* Addresses that cannot be far: loopback, link-local, private, and a provider's (RFC 6598). */
static bool is_near_ipv4(const char *text)
{
    struct in_addr address;
    uint32_t number;

    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    number = ntohl(address.s_addr);
    return number >> 24 == 127 || number >> 24 == 10 || number >> 20 == (172 << 4 | 1) ||
           number >> 16 == (192 << 8 | 168) || number >> 16 == (169 << 8 | 254) ||
           number >> 22 == (100 << 2 | 1);
}

/* The same for IPv6: ::1, fe80::/10 and fc00::/7. */
static bool is_near_ipv6(const char *text)
{
    struct in6_addr address;

    if (inet_pton(AF_INET6, text, &address) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_LINKLOCAL(&address) ||
           (address.s6_addr[0] & 0xfe) == 0xfc;
}

/* Whether the host is localhost or a literal address that is near. */
static bool is_near(const struct url *url)
{
    size_t brackets = *url->host == '[' ? 1 : 0;
    size_t size = url->host_size - 2 * brackets;
    char text[INET6_ADDRSTRLEN] = "";

    if (size >= sizeof(text))
        return false;
    memcpy(text, url->host + brackets, size);
    if (brackets)
        return is_near_ipv6(text);
    return strcmp(text, "localhost") == 0 || is_near_ipv4(text);
}

/* Returns NULL if the URI may be asked; or what is wrong with it. */
static const char *check_uri(const char *uri)
{
    struct url url;

    if (!url_split(uri, &url))
        return "it is no URL with a host";
    if (!url_has_scheme(&url, "http") && !url_has_scheme(&url, "https"))
        return "it is neither http:// nor https://";
    /* Messages show a URI up to its path, so no secret may come before the path. */
    if (url.has_user)
        return "it must not hold a user name or password";
    /* The answer is secret. */
    if (url_has_scheme(&url, "http") && !is_near(&url))
        return "http:// is taken for localhost and private addresses only; use https://";
    return NULL;
}

struct credentials *credentials_of_uri(
        const struct credentials_search *search, const char *uri, struct aliyun_iot_error **error)
{
    static const char place[] = "credentials URI";
    CLEANUP(BUF_MEM_free) BUF_MEM *answer = NULL;
    CLEANUP(json_free) cJSON *object = NULL;
    const char *problem = check_uri(uri);

    if (problem)
        return credentials_refuse(error, place, "%s", problem);
    answer = credentials_request(search, "GET", uri, NULL, 0, place, error);
    if (!answer)
        return NULL;
    object = json_parse(answer->data, answer->length, JSON_DEPTH_MAX, &problem);
    if (!object)
        return credentials_refuse(error, place, "the answer is unusable: %s", problem);
    return credentials_from_answer(object, place, error);
}

struct credentials *credentials_from_uri(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    const char *uri = credentials_environment("ALIBABA_CLOUD_CREDENTIALS_URI");

    if (!uri)
        return credentials_absent(
                error, "credentials URI", "ALIBABA_CLOUD_CREDENTIALS_URI is not set");
    return credentials_of_uri(search, uri, error);
}
