/* SPDX-License-Identifier: Apache-2.0 */
#include "query_device_cert.h"

#include "../background.h"
#include "../deadline.h"
#include "../trace.h"
#include "material.h"

enum {
    POLL_FIRST = 500, /* milliseconds between two questions; doubled each time */
    POLL_MAX = 5000
};

/* DeviceCertInfo.Status, as documented. */
enum { STATUS_GENERATING = 0, STATUS_FAILED = 1, STATUS_READY = 2 };

static int bad_answer(struct aliyun_iot_error **error, const char *problem, const char *request_id)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER,
            "QueryDeviceCert: the answer %s (RequestId %.64s)", problem, request_id);
}

/* A string field that may be missing; anything but a string is a mistake of the service's. */
static const char *text_field(const cJSON *information, const char *name)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(information, name);

    if (!field || cJSON_IsNull(field))
        return "";
    return json_string(information, name);
}

static struct aliyun_iot_identity *read_material(
        const cJSON *information, const char *request_id, struct aliyun_iot_error **error)
{
    const char *certificate = text_field(information, "Certificate");
    const char *private_key = text_field(information, "PrivateKey");
    const char *serial_number = text_field(information, "CertSN");
    struct aliyun_iot_identity *identity;

    if (!certificate || !private_key || !serial_number) {
        bad_answer(error, "has a field of the wrong type", request_id);
        return NULL;
    }
    if (!*certificate || !*private_key) {
        bad_answer(error,
                *certificate ? "holds no PrivateKey: the platform has none where the product's CA "
                               "is a third party's"
                             : "holds no Certificate",
                request_id);
        return NULL;
    }
    identity = material_parse(certificate, private_key, serial_number, request_id, error);
    if (!identity)
        error_prefix(error, "QueryDeviceCert (RequestId %.64s): ", request_id);
    return identity;
}

/* Returns the identity; or NULL with *error set, and *generating whether to ask again. */
static struct aliyun_iot_identity *read_answer(
        const cJSON *answer, bool *generating, struct aliyun_iot_error **error)
{
    const cJSON *information = cJSON_GetObjectItemCaseSensitive(answer, "DeviceCertInfo");
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(information, "Status");
    const char *request_id = json_string(answer, "RequestId");

    if (!request_id)
        request_id = "not given";
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "Success"))) {
        bad_answer(error, "does not say whether it is a success", request_id);
    } else if (!cJSON_IsObject(information)) {
        bad_answer(error, "holds no DeviceCertInfo", request_id);
    } else if (!cJSON_IsNumber(status)) {
        bad_answer(error, "holds no Status", request_id);
    } else if (status->valuedouble == STATUS_READY) {
        return read_material(information, request_id, error);
    } else if (status->valuedouble == STATUS_GENERATING) {
        *generating = true;
        error_set(error, ALIYUN_IOT_REASON_NOT_READY,
                "QueryDeviceCert: the certificate is still being generated (Status 0, RequestId "
                "%.64s); try again in a moment",
                request_id);
    } else if (status->valuedouble == STATUS_FAILED) {
        error_set(error, ALIYUN_IOT_REASON_GENERATION_FAILED,
                "QueryDeviceCert: the service failed to generate the certificate (Status 1, "
                "RequestId %.64s); delete the device and create it again",
                request_id);
    } else {
        bad_answer(error, "has a Status that is not documented", request_id);
    }
    return NULL;
}

static struct aliyun_iot_identity *ask_once(struct http_client *http,
        const struct settings *settings, const struct openapi_call *call, bool *generating,
        struct aliyun_iot_error **error)
{
    CLEANUP(json_free) cJSON *answer = openapi_call(http, settings, call, error);

    return answer ? read_answer(answer, generating, error) : NULL;
}

struct aliyun_iot_identity *query_device_cert(struct http_client *http,
        const struct settings *settings, const struct openapi_hooks *hooks,
        const struct device_query *query, struct aliyun_iot_error **error)
{
    const struct openapi_parameter parameters[] = {
            {"ProductKey", query->product_key},
            {"DeviceName", query->device_name},
            {"IotInstanceId", query->instance_id},
    };
    const struct openapi_call call = {
            .endpoint = query->endpoint,
            .action = "QueryDeviceCert",
            .version = "2018-01-20",
            .parameters = parameters,
            .parameter_count = sizeof(parameters) / sizeof(parameters[0]),
            .signature = settings->signature,
            .hooks = hooks,
            .deadline = query->deadline,
    };

    for (int64_t pause = POLL_FIRST;; pause = pause * 2 < POLL_MAX ? pause * 2 : POLL_MAX) {
        CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
        bool generating = false;
        struct aliyun_iot_identity *identity =
                ask_once(http, settings, &call, &generating, &problem);

        if (identity)
            return identity;
        if (!generating || pause >= deadline_left(query->deadline) || !background_sleep(pause)) {
            if (error)
                *error = take(problem);
            return NULL;
        }
        trace(settings, TRACE_INFO, "generating product=%s device=%s", query->product_key,
                query->device_name);
    }
}
