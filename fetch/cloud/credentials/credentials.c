/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void credentials_free(struct credentials *credentials)
{
    if (!credentials || __atomic_sub_fetch(&credentials->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(credentials->access_key_id);
    text_free_secret(credentials->access_key_secret);
    text_free_secret(credentials->security_token);
    free(credentials->source);
    free(credentials);
}

struct credentials *credentials_reference(struct credentials *credentials)
{
    __atomic_add_fetch(&credentials->references, 1, __ATOMIC_RELAXED);
    return credentials;
}

bool credentials_equal(const struct credentials *left, const struct credentials *right)
{
    const char *left_token = left->security_token ? left->security_token : "";
    const char *right_token = right->security_token ? right->security_token : "";

    return strcmp(left->access_key_id, right->access_key_id) == 0 &&
           strcmp(left->access_key_secret, right->access_key_secret) == 0 &&
           strcmp(left_token, right_token) == 0;
}

/* Returns what is wrong with the parts; NULL: nothing. */
static const char *find_problem(
        const char *access_key_id, const char *access_key_secret, const char *token)
{
    if (!access_key_id || !*access_key_id)
        return "the AccessKey id is missing";
    if (!access_key_secret || !*access_key_secret)
        return "the AccessKey secret is missing";
    if (!text_is_visible(access_key_id) || !text_is_visible(access_key_secret) ||
            (token && !text_is_visible(token)))
        return "AccessKey id, secret or token holds a blank or another odd character";
    return NULL;
}

struct credentials *credentials_new(const char *access_key_id, const char *access_key_secret,
        const char *token, int64_t expiration_s, const char *place, struct aliyun_iot_error **error)
{
    CLEANUP(credentials_free) struct credentials *credentials = NULL;
    const char *problem = find_problem(access_key_id, access_key_secret, token);

    if (problem) {
        error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, "%s: %s", place, problem);
        return NULL;
    }
    credentials = calloc(1, sizeof(*credentials));
    if (!credentials) {
        error_set_out_of_memory(error);
        return NULL;
    }
    credentials->references = 1;
    credentials->expiration_s = expiration_s;
    credentials->access_key_id = strdup(access_key_id);
    credentials->access_key_secret = strdup(access_key_secret);
    credentials->security_token = token && *token ? strdup(token) : NULL;
    credentials->source = strdup(place);
    if (!credentials->access_key_id || !credentials->access_key_secret || !credentials->source ||
            (token && *token && !credentials->security_token)) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return take(credentials);
}
