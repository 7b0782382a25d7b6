/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packet.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 253 /* that the kernel lets a packet have (SCM_MAX_FD) */ };

static void close_descriptors(const struct cmsghdr *header)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t index = 0; index < count; index++) {
        int descriptor;

        memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(descriptor));
        close(descriptor);
    }
}

static void read_control(struct msghdr *message, struct packet *packet)
{
    packet->has_sender = false;
    packet->has_descriptors = (message->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
            header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type == SCM_RIGHTS) {
            close_descriptors(header);
            packet->has_descriptors = true;
        } else if (header->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&packet->sender, CMSG_DATA(header), sizeof(packet->sender));
            packet->has_sender = true;
        }
    }
}

static enum packet_result receive(int descriptor, size_t bytes_max, struct packet *packet)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec bytes = {packet->bytes, bytes_max};
    struct msghdr message = {.msg_iov = &bytes,
            .msg_iovlen = 1,
            .msg_control = control.bytes,
            .msg_controllen = sizeof(control.bytes)};
    ssize_t size;

    do
        size = recvmsg(descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == EAGAIN ? PACKET_NONE_YET : PACKET_END;
    read_control(&message, packet);
    /* An empty packet has a sender; the end of the connection has none. */
    if (size == 0 && !packet->has_sender)
        return PACKET_END;
    packet->size = (size_t)size;
    packet->is_too_long = (message.msg_flags & MSG_TRUNC) != 0;
    return PACKET_RECEIVED;
}

enum packet_result packet_receive(int descriptor, struct packet *packet)
{
    return receive(descriptor, AGENT_PACKET_MAX_BYTES, packet);
}

bool packet_send(int descriptor, const char *bytes, size_t size)
{
    ssize_t sent;

    do
        sent = send(descriptor, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)size;
}

void packet_close(int descriptor)
{
    struct packet unread = {.bytes = NULL};

    /* From now on the other side's sends fail, so that no packet comes after the last one here. */
    shutdown(descriptor, SHUT_RD);
    while (receive(descriptor, 0, &unread) == PACKET_RECEIVED)
        continue;
    close(descriptor);
}
