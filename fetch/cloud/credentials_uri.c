/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that a service on this machine or in its network hands out by URI. */
#include "credentials_temporary.h"

#include <arpa/inet.h>
#include <string.h>

#include "../buffer.h"

/*
 * What comes is secret, so plain HTTP is for hosts that cannot be far: localhost, and literal
 * addresses that are loopback, link-local or private.
 */
static bool is_near(const char *host, size_t size)
{
    char text[INET_ADDRSTRLEN] = "";
    struct in_addr address;
    uint32_t number;

    if (size == strlen("localhost") && memcmp(host, "localhost", size) == 0)
        return true;
    if (size == 0 || size >= sizeof(text))
        return false;
    memcpy(text, host, size);
    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    number = ntohl(address.s_addr);
    return number >> 24 == 127 || number >> 24 == 10 || number >> 20 == (172 << 4 | 1) ||
           number >> 16 == (192 << 8 | 168) || number >> 16 == (169 << 8 | 254) ||
           number >> 22 == (100 << 2 | 1);
}

/* Messages name a URI up to its path: nothing secret may stand before. */
static bool has_user(const char *uri)
{
    const char *host = strstr(uri, "://") + 3;

    return memchr(host, '@', strcspn(host, "/?#"));
}

struct credentials *credentials_of_uri(
        const struct credentials_search *search, const char *uri, struct aliyun_iot_error **error)
{
    static const char place[] = "credentials URI";
    CLEANUP(BUF_MEM_free) BUF_MEM *answer = NULL;
    CLEANUP(json_free) cJSON *object = NULL;
    const char *problem = NULL;

    if (strncmp(uri, "http://", 7) == 0) {
        if (!is_near(uri + 7, strcspn(uri + 7, ":/?#")))
            return credentials_refuse(error, place,
                    "http:// is taken for localhost and private addresses only; use https://");
    } else if (strncmp(uri, "https://", 8) != 0) {
        return credentials_refuse(error, place, "it is neither http:// nor https://");
    }
    if (has_user(uri))
        return credentials_refuse(error, place, "it must not hold a user name or password");
    answer = credentials_request(search, "GET", uri, NULL, 0, place, error);
    if (!answer)
        return NULL;
    object = json_parse(answer->data, answer->length, &problem);
    if (!object)
        return credentials_refuse(error, place, "the answer is unusable: %s", problem);
    return credentials_from_answer(object, place, error);
}

struct credentials *credentials_from_uri(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    const char *uri = credentials_environment("ALIBABA_CLOUD_CREDENTIALS_URI");

    if (!uri)
        return credentials_refuse(
                error, "credentials URI", "ALIBABA_CLOUD_CREDENTIALS_URI is not set");
    return credentials_of_uri(search, uri, error);
}
