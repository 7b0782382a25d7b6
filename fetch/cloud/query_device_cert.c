/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/query_device_cert.h"

#include "base/deadline.h"
#include "base/process.h"
#include "base/text.h"
#include "base/trace.h"
#include "cloud/material.h"
#include "cloud/server_text.h"

enum {
    POLL_FIRST_MS = 500, /* pause before the second call; doubled each time */
    POLL_MAX_MS = 5000,
    REQUEST_ID_MAX = 64, /* bytes; the service's have 36 */
    SERIAL_NUMBER_MAX = 80
};

/* DeviceCertInfo.Status, as documented. */
enum { STATUS_GENERATING = 0, STATUS_FAILED = 1, STATUS_READY = 2 };

static int refuse_device_cert(
        struct aliyun_iot_error **error, const char *problem, const char *request_id)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_ANSWER,
            "QueryDeviceCert: the answer %s (RequestId %.64s)", problem, request_id);
}

/* The text of a field; "" if it is missing or null; NULL if it is of another type. */
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
    const char *given_number = text_field(information, "CertSN");
    CLEANUP(free) char *serial_number = server_text(given_number, SERIAL_NUMBER_MAX, NULL);
    struct aliyun_iot_identity *identity;

    if (!serial_number) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!certificate || !private_key || !given_number) {
        refuse_device_cert(error, "has a field of the wrong type", request_id);
        return NULL;
    }
    if (!*certificate || !*private_key) {
        refuse_device_cert(error,
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

/* Returns the identity; or NULL with *error set, and with *generating set if asking again helps. */
static struct aliyun_iot_identity *read_device_cert(
        const cJSON *answer, bool *generating, struct aliyun_iot_error **error)
{
    const cJSON *information = cJSON_GetObjectItemCaseSensitive(answer, "DeviceCertInfo");
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(information, "Status");
    const char *given_id = json_string(answer, "RequestId");
    CLEANUP(free)
    char *request_id = server_text(given_id ? given_id : "not given", REQUEST_ID_MAX, NULL);

    if (!request_id) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "Success"))) {
        refuse_device_cert(error, "does not say whether it is a success", request_id);
    } else if (!cJSON_IsObject(information)) {
        refuse_device_cert(error,
                information ? "has a DeviceCertInfo that is not an object"
                            : "holds no DeviceCertInfo",
                request_id);
    } else if (!cJSON_IsNumber(status)) {
        refuse_device_cert(error, status ? "has a Status that is not a number" : "holds no Status",
                request_id);
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
        refuse_device_cert(error, "has a Status that is not documented", request_id);
    }
    return NULL;
}

static struct aliyun_iot_identity *ask_once(struct http_client *http,
        const struct settings *settings, const struct openapi_call *call, bool *generating,
        struct aliyun_iot_error **error)
{
    CLEANUP(json_free) cJSON *answer = openapi_call(http, settings, call, error);

    return answer ? read_device_cert(answer, generating, error) : NULL;
}

struct aliyun_iot_identity *query_device_cert(struct http_client *http,
        const struct settings *settings, const struct openapi_hooks *hooks,
        const struct device *device, int64_t deadline, struct aliyun_iot_error **error)
{
    const struct openapi_parameter parameters[] = {
            {"ProductKey", device->product_key},
            {"DeviceName", device->device_name},
            {"IotInstanceId", device->instance_id},
    };
    const struct openapi_call call = {
            .endpoint = device->endpoint,
            .action = "QueryDeviceCert",
            .version = "2018-01-20",
            .parameters = parameters,
            .parameter_count = sizeof(parameters) / sizeof(parameters[0]),
            .signature = settings->signature,
            .hooks = hooks,
            .deadline = deadline,
    };

    for (int64_t pause_ms = POLL_FIRST_MS;;
            pause_ms = pause_ms * 2 < POLL_MAX_MS ? pause_ms * 2 : POLL_MAX_MS) {
        CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
        bool generating = false;
        struct aliyun_iot_identity *identity =
                ask_once(http, settings, &call, &generating, &problem);

        if (identity)
            return identity;
        if (!generating || pause_ms >= deadline_left_ms(deadline)) {
            if (error)
                *error = take(problem);
            return NULL;
        }
        process_sleep(pause_ms);
        trace(settings, TRACE_INFO, "generating product=%s device=%s", device->product_key,
                device->device_name);
    }
}
