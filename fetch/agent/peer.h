/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the agent from inside, for the files that serve it. See peers.h. */
#ifndef PEER_H
#define PEER_H

#include <pthread.h>

#include "agent/access.h"
#include "agent/peers.h"
#include "agent/principal/peer_facts.h"
#include "agent/request.h"
#include "agent/users.h"

/* Where a request that waits for an identity is. */
enum waiting {
    WAITING_NOT,      /* its thread still has it */
    WAITING_ASIDE,    /* in the list of those put aside */
    WAITING_CAME_SOON /* the identity came while its thread still had it */
};

struct peer {
    struct peer_watch watch; /* the first member, so that a pointer to it is one to this */
    struct peers *peers;
    struct peer *next, *previous; /* among all, for peers_free() */
    struct user *user;            /* who connected */
    struct peer_facts facts;
    pid_t process; /* that sent the first packet; 0: none came */
    BUF_MEM *answer;
    bool must_close; /* after the answer */
    /*
     * Changed by the thread that gives the peer to the epoll, and by the one that gets it from
     * there. The kernel orders the two; this tells the compiler, and the sanitizer.
     */
    atomic_uint handovers;

    /* The request under way. */
    struct user *sender; /* NULL: none is under way */
    struct request request;
    struct access access;
    bool is_decided; /* the access is, and belongs into the audit log */
    bool has_request, was_cached;
    struct ucred packet_sender;
    int64_t started_us; /* on the monotonic clock */
    int64_t deadline;
    struct resolver *resolver;
    struct memory_waiter waiter;
    pthread_t starter; /* the thread that began it */
    bool told_at_once; /* by that thread, which alone reads and writes this */
    enum waiting waiting;
    struct peer *next_aside, *previous_aside; /* put aside, or ready to go on */
    struct aliyun_iot_identity *identity;     /* what came, or: */
    struct aliyun_iot_error *error;
};

struct peers {
    struct service *service;
    int events, ready, attention;
    int connections_max;
    pthread_mutex_t lock; /* for all that follows, and the members of struct peer that link */
    struct users users;
    struct peer *first;
    struct peer *aside;                    /* whose identities have not come */
    struct peer *ready_first, *ready_last; /* whose identities have */
    int connections, requests;
    bool stopping; /* all requests are refused */
};

/* Frees what the request under way holds. */
void peer_clear_request(struct peer *peer);

/* Sends the answer; then the peer's next packet is awaited, or it is removed. */
void peer_send_answer(struct peer *peer);

/*
 * Asks for the identity of the request's device, and answers when it comes: at once, or later on
 * another thread.
 */
void peer_resolve(struct peer *peer);

/* Waits for the next packet: the peer belongs to the epoll from now on. False: it cannot. */
bool peer_watch(struct peer *peer, int operation);

/* Ends the connection. For the thread that the peer belongs to. */
void peer_remove(struct peer *peer);

#endif
