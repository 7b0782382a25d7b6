/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of peers: whether they are served, and their answers. */
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "agent/access_words.h"
#include "agent/answers.h"
#include "agent/audit/audit_record.h"
#include "agent/operations.h"
#include "agent/packet.h"
#include "agent/peer.h"
#include "base/deadline.h"

enum { TIMEOUT_MAX_MS = 60 * 1000 /* of a request, whatever it says */ };

void peer_clear_request(struct peer *peer)
{
    request_release(&peer->request);
    access_release(&peer->access);
    resolver_free(peer->resolver);
    aliyun_iot_identity_free(peer->identity);
    aliyun_iot_error_free(peer->error);
    peer->resolver = NULL;
    peer->identity = NULL;
    peer->error = NULL;
    peer->is_decided = false;
    peer->was_cached = false;
    peer->waiting = WAITING_NOT;
    peer->told_at_once = false;
}

static int64_t monotonic_microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* As policies call it. */
static const char *operation_word(enum operation operation)
{
    return operation == OPERATION_IDENTITY ? "load" : operation_name(operation);
}

/* Writes the decision to the audit log. False: it is required, and could not be written. */
static bool write_record(struct peer *peer)
{
    struct audit_log *log = service_audit_log(peer->peers->service);
    enum access_verdict verdict = peer->access.verdict;
    CLEANUP(json_text_free) char *members = NULL;

    if (!peer->is_decided || !audit_log_is_on(log))
        return true;
    members = audit_record_write(&(struct audit_record){
            .operation = peer->has_request ? operation_word(peer->request.operation) : NULL,
            .access = &peer->access,
            .process = peer->packet_sender.pid,
            .uid = peer->packet_sender.uid,
            .request = &peer->request,
            .identity = peer->identity,
            .was_cached = peer->was_cached,
            .latency_us = monotonic_microseconds() - peer->started_us,
            .answer = peer->answer});
    return audit_log_write(log, members,
            verdict == ACCESS_ALLOWED ? NULL : access_verdict_name(verdict),
            &peer->access.principal);
}

static void count(const struct peer *peer)
{
    struct counters *counters = service_counters(peer->peers->service);

    if (peer->has_request)
        counters_request(counters, peer->request.operation, peer->is_decided, peer->access.verdict,
                monotonic_microseconds() - peer->started_us);
    if (peer->identity)
        counters_identity(counters, peer->was_cached);
    counters_answer(counters, peer->answer);
}

void peer_send_answer(struct peer *peer)
{
    struct peers *peers = peer->peers;
    bool sent;

    count(peer);
    if (!write_record(peer)) {
        OPENSSL_cleanse(peer->answer->data, peer->answer->length);
        answer_refuse(peer->answer, "AUDIT", NULL,
                "the audit log cannot be written, and the agent may do nothing without it; its "
                "administrator has to look at the log's disk and file");
    }
    sent = packet_send(peer->watch.descriptor, peer->answer->data, peer->answer->length);

    OPENSSL_cleanse(peer->answer->data, peer->answer->length);
    peer_clear_request(peer);
    if (peer->sender) {
        pthread_mutex_lock(&peers->lock);
        peers->requests--;
        peer->sender->requests--;
        users_settle(&peers->users, peer->sender);
        pthread_mutex_unlock(&peers->lock);
        peer->sender = NULL;
    }
    if (!sent || peer->must_close || !peer_watch(peer, EPOLL_CTL_MOD))
        peer_remove(peer);
}

static void refuse(struct peer *peer, const char *reason, const char *limit, const char *message)
{
    answer_refuse(peer->answer, reason, limit, message);
    peer_send_answer(peer);
}

/* Counts the request. Returns false, having answered, if it must not begin. */
static bool admit_request(struct peer *peer, uid_t uid, int64_t requests_max)
{
    struct peers *peers = peer->peers;
    struct user *sender;
    bool is_limited = false, stopping;

    pthread_mutex_lock(&peers->lock);
    stopping = peers->stopping;
    sender = stopping ? NULL : users_find(&peers->users, uid);
    if (sender) {
        is_limited = sender->requests >= requests_max;
        if (is_limited) {
            users_settle(&peers->users, sender);
        } else {
            sender->requests++;
            peers->requests++;
            peer->sender = sender;
        }
    }
    pthread_mutex_unlock(&peers->lock);
    if (peer->sender)
        return true;
    if (is_limited)
        refuse(peer, "LIMITED", "requests",
                "this user has as many requests under way as it may have (requests in section "
                "[limits] of agent.conf); wait for their answers");
    else if (stopping)
        refuse(peer, "STOPPING", NULL, "the agent is about to end; ask again when it runs");
    else
        refuse(peer, "OUT_OF_MEMORY", NULL, "out of memory");
    return false;
}

static void perform(struct peer *peer)
{
    struct peers *peers = peer->peers;
    struct server_counts counts = peers_counts(peers);
    int64_t timeout_ms = peer->request.timeout_ms;

    if (peer->request.uri) {
        peer->deadline = monotonic_milliseconds() +
                         (timeout_ms < TIMEOUT_MAX_MS ? timeout_ms : TIMEOUT_MAX_MS);
        peer_resolve(peer);
        return;
    }
    operation_answer(peers->service, &peer->request, &counts, peer->answer);
    peer_send_answer(peer);
}

static void refuse_as(struct peer *peer, struct refusal *refusal)
{
    if (refusal->reason)
        answer_refuse(peer->answer, refusal->reason, refusal->limit,
                aliyun_iot_error_message(refusal->error));
    else
        answer_error(peer->answer, refusal->error);
    aliyun_iot_error_free(refusal->error);
    peer_send_answer(peer);
}

static void refuse_stranger(struct peer *peer)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *message = BUF_MEM_new();

    peer->is_decided = true;
    if (message && access_write_not_served(peer->access.principal.uid, message))
        refuse(peer, "DENIED", NULL, message->data);
    else
        refuse(peer, "OUT_OF_MEMORY", NULL, "out of memory");
}

/* Returns false, having answered, if the packet is refused whatever it says. */
static bool admit_packet(struct peer *peer, const struct packet *packet)
{
    if (!packet->has_sender) {
        peer->must_close = true;
        refuse(peer, "RECONNECT", NULL,
                "the agent was not ready to see who sent this; open a new connection");
        return false;
    }
    if (peer->process == 0)
        peer->process = packet->sender.pid;
    if (packet->sender.pid != peer->process) {
        refuse(peer, "RECONNECT", NULL,
                "another process than the one that connected sent this; open a new connection");
    } else if (!peer->access.policy && !access_is_own(&peer->access.principal)) {
        refuse_stranger(peer);
    } else if (packet->has_descriptors) {
        refuse(peer, "BAD_REQUEST", NULL,
                "the request is refused: descriptors came with it, and were closed");
    } else if (packet->is_too_long) {
        peer->must_close = true;
        refuse(peer, "LIMITED", "message-bytes",
                "a packet may have 196608 bytes, and this one has more");
    } else {
        return true;
    }
    return false;
}

/* Returns false, having answered, if the operation is not for this peer. */
static bool admit_operator(struct peer *peer)
{
    if (!operation_is_operators(peer->request.operation))
        return true;
    peer->is_decided = true;
    if (access_is_own(&peer->access.principal)) {
        peer->access.verdict = ACCESS_ALLOWED;
        return true;
    }
    refuse(peer, "DENIED", NULL,
            "this operation is for the agent's own user and root, whatever the policy says");
    return false;
}

static void serve_packet(struct peer *peer, const struct packet *packet)
{
    struct refusal refusal;

    peer->started_us = monotonic_microseconds();
    peer->packet_sender = packet->sender;
    peer->has_request = false;
    access_begin(&peer->access, service_policy(peer->peers->service));
    if (packet->has_sender)
        peer_facts_principal(&peer->facts, &packet->sender, &peer->access.principal);
    if (!admit_packet(peer, packet))
        return;
    if (!request_parse(packet->bytes, packet->size, &peer->request, &refusal)) {
        refuse_as(peer, &refusal);
        return;
    }
    peer->has_request = true;
    if (!admit_operator(peer))
        return;
    peer->resolver = service_resolver(peer->peers->service);
    if (admit_request(peer, packet->sender.uid, resolver_settings(peer->resolver)->limit_requests))
        perform(peer);
}

void peers_serve(struct peer_watch *watched, char *buffer)
{
    struct peer *peer = (struct peer *)watched;
    struct packet packet = {.bytes = buffer};

    atomic_fetch_add(&peer->handovers, 1);
    switch (packet_receive(peer->watch.descriptor, &packet)) {
    case PACKET_RECEIVED:
        serve_packet(peer, &packet);
        return;
    case PACKET_NONE_YET:
        if (peer_watch(peer, EPOLL_CTL_MOD))
            return;
        break;
    case PACKET_END:
        break;
    }
    peer_remove(peer);
}
