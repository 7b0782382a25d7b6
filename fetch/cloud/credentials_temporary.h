/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary credentials: how they are asked for, and how they come. */
#ifndef CREDENTIALS_TEMPORARY_H
#define CREDENTIALS_TEMPORARY_H

#include "credentials_source.h"
#include "json.h"

/*
 * From an object with AccessKeyId, AccessKeySecret, SecurityToken and Expiration (ISO 8601), as
 * STS, the metadata service and credentials URIs give it. place: for messages. NULL with *error
 * set.
 */
struct credentials *credentials_from_answer(
        const cJSON *object, const char *place, struct aliyun_iot_error **error);

/*
 * GETs (or PUTs) such a service's URL. header: a line, or NULL. connect_timeout: milliseconds, for
 * the whole exchange too; 0: the settings'. Returns the body, ended by NUL; or NULL with *error
 * set.
 */
BUF_MEM *credentials_request(const struct credentials_search *search, const char *method,
        const char *url, const char *header, int64_t connect_timeout, const char *place,
        struct aliyun_iot_error **error);

/* What STS is asked. Strings that are NULL or empty are left to their defaults. */
struct role_request {
    const char *role_arn;
    const char *session_name; /* default: aliyun-iot */
    const char *duration;     /* seconds, in decimal; default 3600 */
    const char *policy;
    const char *external_id;
    const char *region; /* of STS; default: ALIBABA_CLOUD_STS_REGION, or the central one */
};

/* AssumeRole of STS, version 2015-04-01, with the base credentials. NULL with *error set. */
struct credentials *credentials_assume_role(const struct credentials_search *search,
        struct credentials *base, const struct role_request *role, const char *place,
        struct aliyun_iot_error **error);

/* AssumeRoleWithOIDC, with the token that a file holds; not signed. NULL with *error set. */
struct credentials *credentials_assume_role_with_oidc(const struct credentials_search *search,
        const struct role_request *role, const char *provider_arn, const char *token_file,
        const char *place, struct aliyun_iot_error **error);

/* Those of the machine's role, by the metadata service. role may be NULL: it is asked for. */
struct credentials *credentials_of_machine(
        const struct credentials_search *search, const char *role, struct aliyun_iot_error **error);

/* Those that a URI answers with. */
struct credentials *credentials_of_uri(
        const struct credentials_search *search, const char *uri, struct aliyun_iot_error **error);

/* Those that a command prints. */
struct credentials *credentials_of_command(const struct credentials_search *search,
        const char *command, const char *place, struct aliyun_iot_error **error);

#endif
