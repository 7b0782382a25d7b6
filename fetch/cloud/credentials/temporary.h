/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary credentials: how they are asked for, and how they come. */
#ifndef CREDENTIALS_TEMPORARY_H
#define CREDENTIALS_TEMPORARY_H

#include "base/json.h"
#include "cloud/credentials/search.h"

/*
 * Reads a time as the services write it: "2026-11-24T12:00:00Z", also with fractions of a second,
 * or with an offset ("+08:00", "+0800") for the Z. Returns false if text is NULL or anything else;
 * else true, with *seconds since 1970, at least 1.
 */
bool credentials_parse_time(const char *text, int64_t *seconds);

/*
 * From an object with AccessKeyId, AccessKeySecret, SecurityToken and Expiration, as STS, the
 * metadata service and credentials URIs give it. All four are required. place: for messages. NULL
 * with *error set.
 */
struct credentials *credentials_from_answer(
        const cJSON *object, const char *place, struct aliyun_iot_error **error);

/*
 * GETs (or PUTs) such a service's URL. header: a line, or NULL. connect_timeout_ms: for the whole
 * exchange too; 0: the settings'. Returns the body, ended by NUL; or NULL with *error
 * set.
 */
BUF_MEM *credentials_request(const struct credentials_search *search, const char *method,
        const char *url, const char *header, int64_t connect_timeout_ms, const char *place,
        struct aliyun_iot_error **error);

/*
 * What STS is asked. What is NULL or empty comes from the environment variable named here, if it
 * is set, or has the default named here.
 */
struct role_request {
    const char *role_arn;     /* ALIBABA_CLOUD_ROLE_ARN */
    const char *session_name; /* ALIBABA_CLOUD_ROLE_SESSION_NAME; aliyun-iot */
    const char *duration;     /* seconds, in decimal; 3600 */
    const char *policy;
    const char *external_id;
    const char *endpoint; /* host of STS; by region */
    const char *region;   /* of STS; ALIBABA_CLOUD_STS_REGION; the central one */
    bool vpc;             /* STS inside the VPC; ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED */
};

/* AssumeRole of STS, version 2015-04-01, with the base credentials. NULL with *error set. */
struct credentials *credentials_assume_role(const struct credentials_search *search,
        struct credentials *base, const struct role_request *role, const char *place,
        struct aliyun_iot_error **error);

/*
 * AssumeRoleWithOIDC, with the token that a file holds; not signed. provider_arn and token_file may
 * be NULL: ALIBABA_CLOUD_OIDC_PROVIDER_ARN and ALIBABA_CLOUD_OIDC_TOKEN_FILE. NULL with *error set.
 */
struct credentials *credentials_assume_role_with_oidc(const struct credentials_search *search,
        const struct role_request *role, const char *provider_arn, const char *token_file,
        const char *place, struct aliyun_iot_error **error);

/*
 * Those of the machine's role, by the metadata service. role may be NULL or empty:
 * ALIBABA_CLOUD_ECS_METADATA; the service is asked for the role if that is not set either.
 */
struct credentials *credentials_of_machine(
        const struct credentials_search *search, const char *role, struct aliyun_iot_error **error);

/* Those that a URI answers with. */
struct credentials *credentials_of_uri(
        const struct credentials_search *search, const char *uri, struct aliyun_iot_error **error);

/* Those that a command prints. */
struct credentials *credentials_of_command(const struct credentials_search *search,
        const char *command, const char *place, struct aliyun_iot_error **error);

/* The profile of that name in the CLI's config.json; NULL: there is none. Owned by file. */
const cJSON *cli_profile_find(const cJSON *file, const char *name);

/* A profile of the CLI's config.json whose mode needs a login. */
struct login_profile {
    const char *path;     /* of config.json */
    const cJSON *profile; /* has a name */
    const char *place;    /* for messages */
};

/*
 * Mode OAuth. Refreshes the tokens when they are due, and keeps them, and the temporary AccessKey
 * that comes for them, in config.json. NULL with *error set.
 */
struct credentials *credentials_of_oauth(const struct credentials_search *search,
        const struct login_profile *profile, struct aliyun_iot_error **error);

/* Mode CloudSSO. NULL with *error set. */
struct credentials *credentials_of_cloud_sso(const struct credentials_search *search,
        const struct login_profile *profile, struct aliyun_iot_error **error);

#endif
