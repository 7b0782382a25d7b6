/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `aliyun-iot policy` share. */
#ifndef COMMAND_POLICY_H
#define COMMAND_POLICY_H

#include "agent/policy/decision.h"
#include "base/uri.h"

/* A request that is asked about, as its options describe it. */
struct question {
    const char *policy_file; /* NULL: the usual one */
    struct principal principal;
    struct policy_request request;
    struct handshake handshake;
    bool shows_handshake; /* --usage */
    const char *user;     /* as it was written */
    struct uri *uri;
    char *device;
    gid_t *groups;
    const char **hosts;
    char (*host_names)[DNS_NAME_SIZE];
};

/*
 * Reads the options of explain, which argv[1] begins. Returns NULL; or what is wrong, in a text
 * that is valid until the next call. *question is to be released in every case, and is valid as
 * long as argv.
 */
const char *question_read(int argc, char **argv, struct question *question);
void question_release(struct question *question);

/* Prints the decision and what led to it. Returns whether it is allowed. */
bool question_explain(const struct question *question, const struct policy *policy);

/* Loads a policy (NULL: the usual one); or prints all its problems and returns NULL. */
struct policy *load_policy_or_explain(const char *file, int64_t owner_uid);

/* Where the policy is, unless an option says something else. */
#define POLICY_FILE "/etc/aliyun-iot/policy.conf"

int policy_grant(int argc, char **argv);
int policy_revoke(int argc, char **argv);

#endif
