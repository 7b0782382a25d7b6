/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as the agent receives and sends them, with what the kernel says about their sender. */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/agent_protocol.h"

struct packet {
    char *bytes; /* room for AGENT_PACKET_MAX_BYTES */
    size_t size;
    struct ucred sender;
    bool has_sender;      /* false: it was sent before the kernel was asked to name senders */
    bool has_descriptors; /* that came with it; they were closed */
    bool is_too_long;     /* what is in bytes is cut off */
};

enum packet_result { PACKET_RECEIVED, PACKET_NONE_YET, PACKET_END };

/* Does not block. PACKET_END: the other side closed the connection, or it is broken. */
enum packet_result packet_receive(int descriptor, struct packet *packet);

/* Does not block: false if it cannot be sent at once, which no peer that reads its answers sees. */
bool packet_send(int descriptor, const char *bytes, size_t size);

/*
 * Closes the connection so that the other side reads what was sent and then the end. With a packet
 * left unread, the kernel would first tell it that the connection was reset.
 */
void packet_close(int descriptor);

#endif
