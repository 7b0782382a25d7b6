/* SPDX-License-Identifier: Apache-2.0 */
/* http and https URLs in their parts. */
#ifndef URL_H
#define URL_H

#include <stdbool.h>
#include <stddef.h>

/* The parts are pointers into the URL that was split, and end where their size says. */
struct url {
    const char *scheme; /* "https" */
    size_t scheme_size;
    bool has_user;    /* user@ or user:password@ stands before the host */
    const char *host; /* a name or an address; IPv6 in its brackets */
    size_t host_size; /* may be 0 */
    const char *port; /* digits, not checked; NULL: none */
    size_t port_size;
    const char *rest; /* path, query and fragment, to the end of the URL; "" if none */
};

/*
 * Splits SCHEME://[USER@]HOST[:PORT][REST]. Checks no characters and decodes nothing.
 * Returns false if the text has no "://", or something other than a port after the host.
 */
bool url_split(const char *text, struct url *url);

/*
 * The size of SCHEME://[USER@]HOST[:PORT] at the start of a URL, as printf()'s %.*s takes it.
 * Messages and the trace show no more: a path or a query may be long or hold a token.
 */
int url_origin_size(const char *text);

/* Whether the URL has this scheme. Upper and lower case do not differ (RFC 3986, 3.1). */
bool url_has_scheme(const struct url *url, const char *scheme);

/*
 * Whether the host has only the characters of names and addresses, and the port, if there is one,
 * is a number from 1 to 65535: a host that is checked so cannot be mistaken for anything else.
 */
bool url_has_valid_host(const struct url *url);

#endif
