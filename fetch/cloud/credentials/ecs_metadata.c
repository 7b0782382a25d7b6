/* SPDX-License-Identifier: Apache-2.0 */
/* The role of the machine, by the metadata service of ECS: a link inside the machine. */
#include "cloud/credentials/temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"

enum { METADATA_TIMEOUT_MS = 1000 /* for each question */ };

static const char service[] = "ECS metadata";
static const char disabled[] = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";

/* Cuts the blanks around the first line of an answer. Returns the line. */
static char *first_line(BUF_MEM *answer)
{
    char *text = answer->data + strspn(answer->data, " \t\r\n");
    size_t size = strcspn(text, "\r\n");

    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    text[size] = '\0';
    return text;
}

static bool plain_is_forbidden(void)
{
    return credentials_environment_is_true("ALIBABA_CLOUD_IMDSV1_DISABLED");
}

static BUF_MEM *ask_service_for(const struct credentials_search *search, const char *method,
        const char *path, const char *name, const char *header, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *url = NULL;

    if (asprintf(&url, "%s%s%s", search->settings->metadata_endpoint, path, name) < 0) {
        url = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    return credentials_request(search, method, url, header, METADATA_TIMEOUT_MS, service, error);
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
    BUF_MEM *token = ask_service_for(search, "PUT", "/latest/api/token", "",
            "X-aliyun-ecs-metadata-token-ttl-seconds: 21600", &problem);

    *header = NULL;
    if (token) {
        *header = BUF_MEM_new();
        if (!*header || !buffer_append_text(*header, "x-aliyun-ecs-metadata-token: ") ||
                !buffer_append_text(*header, first_line(token)) || !buffer_text(*header)) {
            BUF_MEM_free(*header);
            *header = NULL;
            return error_set_out_of_memory(error);
        }
        return 1;
    }
    if (!plain_is_forbidden())
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
        found = ask_service_for(search, "GET", path, "", header, error);
        if (!found)
            return NULL;
        role = first_line(found);
    }
    if (!*role || strpbrk(role, "/?#% \t"))
        return credentials_refuse(error, service, "the role's name is empty or odd");
    answer = ask_service_for(search, "GET", path, role, header, error);
    if (!answer)
        return NULL;
    object = json_parse(answer->data, answer->length, JSON_DEPTH_MAX, &problem);
    if (!object)
        return credentials_refuse(error, service, "the answer is unusable: %s", problem);
    return credentials_from_answer(object, service, error);
}

struct credentials *credentials_of_machine(
        const struct credentials_search *search, const char *role, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *header = NULL;
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    struct credentials *found;

    if (credentials_environment_is_true(disabled))
        return credentials_refuse(error, service, "%s is true", disabled);
    if (!get_token_header(search, &header, error))
        return NULL;
    role = credentials_or_environment(role, "ALIBABA_CLOUD_ECS_METADATA");
    found = ask_for_role(search, role, header ? header->data : NULL, &problem);
    /* Some services give a token and do not take it; the SDKs then ask in the plain mode. */
    if (!found && header && !plain_is_forbidden())
        return ask_for_role(search, role, NULL, error);
    if (!found && error)
        *error = take(problem);
    return found;
}

struct credentials *credentials_from_ecs_metadata(
        const struct credentials_search *search, struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    struct credentials *found;

    if (credentials_environment_is_true(disabled))
        return credentials_absent(error, service, "ALIBABA_CLOUD_ECS_METADATA_DISABLED is true");
    found = credentials_of_machine(search, NULL, &problem);
    if (found)
        return found;
    /* Most machines that do not answer are no ECS machines, and nobody set this source up. */
    if (!search->settings->credentials_source &&
            !credentials_environment("ALIBABA_CLOUD_ECS_METADATA"))
        error_set(error, ALIYUN_IOT_REASON_NOT_FOUND, "%s", aliyun_iot_error_message(problem));
    else if (error)
        *error = take(problem);
    return NULL;
}
