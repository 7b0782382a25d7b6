/* SPDX-License-Identifier: Apache-2.0 */
/* The role of the machine, by the metadata service of ECS: a link inside the machine. */
#include "credentials_temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../buffer.h"

enum { METADATA_TIMEOUT = 1000 /* milliseconds for each question */ };

static const char service[] = "ECS metadata";

DEFINE_CLEANUP(char *, free);

static bool is_true(const char *variable)
{
    const char *value = credentials_environment(variable);

    return value && strcasecmp(value, "true") == 0;
}

static BUF_MEM *ask(const struct credentials_search *search, const char *method, const char *path,
        const char *name, const char *header, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *url = NULL;

    if (asprintf(&url, "%s%s%s", search->settings->metadata_endpoint, path, name) < 0) {
        url = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    return credentials_request(search, method, url, header, METADATA_TIMEOUT, service, error);
}

/*
 * The header of the hardened mode. Returns 1, with *header NULL where the service has no such mode
 * and the plain one is allowed; or 0 with *error set.
 */
static int get_token_header(
        const struct credentials_search *search, BUF_MEM **header, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    CLEANUP(BUF_MEM_free)
    BUF_MEM *token = ask(search, "PUT", "/latest/api/token", "",
            "X-aliyun-ecs-metadata-token-ttl-seconds: 21600", &problem);

    *header = NULL;
    if (token) {
        token->data[strcspn(token->data, "\r\n")] = '\0';
        *header = BUF_MEM_new();
        if (!*header || !buffer_append_text(*header, "x-aliyun-ecs-metadata-token: ") ||
                !buffer_append_text(*header, token->data) || !buffer_text(*header)) {
            BUF_MEM_free(*header);
            *header = NULL;
            return error_set_out_of_memory(error);
        }
        return 1;
    }
    if (!is_true("ALIBABA_CLOUD_IMDSV1_DISABLED"))
        return 1;
    if (error)
        *error = take(problem);
    return 0;
}

static struct credentials *ask_for_role(const struct credentials_search *search, const char *role,
        const char *header, struct aliyun_iot_error **error)
{
    static const char path[] = "/latest/meta-data/ram/security-credentials/";
    CLEANUP(BUF_MEM_free) BUF_MEM *found = NULL;
    CLEANUP(BUF_MEM_free) BUF_MEM *answer = NULL;
    CLEANUP(json_free) cJSON *object = NULL;
    const char *problem = NULL;

    if (!role) {
        found = ask(search, "GET", path, "", header, error);
        if (!found)
            return NULL;
        role = found->data;
        found->data[strcspn(found->data, "\r\n")] = '\0';
    }
    if (!*role || strpbrk(role, "/?#% \t"))
        return credentials_refuse(error, service, "the role's name is empty or odd");
    answer = ask(search, "GET", path, role, header, error);
    if (!answer)
        return NULL;
    object = json_parse(answer->data, answer->length, &problem);
    if (!object)
        return credentials_refuse(error, service, "the answer is unusable: %s", problem);
    return credentials_from_answer(object, service, error);
}

struct credentials *credentials_of_machine(
        const struct credentials_search *search, const char *role, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *header = NULL;

    if (is_true("ALIBABA_CLOUD_ECS_METADATA_DISABLED"))
        return credentials_refuse(error, service, "ALIBABA_CLOUD_ECS_METADATA_DISABLED is true");
    if (!get_token_header(search, &header, error))
        return NULL;
    return ask_for_role(search, role && *role ? role : NULL, header ? header->data : NULL, error);
}

struct credentials *credentials_from_ecs_metadata(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    return credentials_of_machine(
            search, credentials_environment("ALIBABA_CLOUD_ECS_METADATA"), error);
}
