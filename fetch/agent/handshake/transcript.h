/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client of TLS 1.2 signs in its CertificateVerify: all messages of the handshake before it,
 * one after the other (RFC 5246, section 7.4.8).
 */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "agent/handshake/server_names.h"

struct aliyun_iot_identity;

struct transcript {
    bool has_sni;
    char sni[DNS_NAME_SIZE]; /* the server's name that the client asked for */
    struct server_names *names;
};

/*
 * Reads a whole transcript strictly: the messages that may be there, in their order, to the last
 * byte. The client's certificate must be that of the identity. Returns NULL with *transcript, whose
 * names are to be freed; or what is wrong: a constant.
 */
const char *transcript_read(struct bytes message, const struct aliyun_iot_identity *identity,
        struct transcript *transcript);

#endif
