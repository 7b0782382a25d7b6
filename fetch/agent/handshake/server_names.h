/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a server's certificate names. The CN is never read. */
#ifndef SERVER_NAMES_H
#define SERVER_NAMES_H

#include "agent/handshake/dns_name.h"
#include "private/cleanup.h"

enum server_name_kind {
    SERVER_NAME_DNS,
    SERVER_NAME_ADDRESS,
    SERVER_NAME_ODD /* not well-formed: whom it stands for cannot be told */
};

struct server_name {
    enum server_name_kind kind;
    char dns[DNS_NAME_SIZE]; /* as dns_name_read() writes it */
    struct address address;
};

struct server_names {
    size_t count;
    struct server_name names[];
};

/*
 * Each dNSName and iPAddress of a certificate in DER; none, if it has no subjectAltName. Returns
 * them, to be freed by server_names_free(). NULL with *problem set: what is wrong with the
 * certificate; a constant.
 */
struct server_names *server_names_read(struct bytes certificate, const char **problem);

/* NULL is ignored. */
void server_names_free(struct server_names *names);
DEFINE_CLEANUP(struct server_names *, server_names_free);

#endif
