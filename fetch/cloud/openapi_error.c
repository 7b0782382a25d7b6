/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/openapi_error.h"

#include <fnmatch.h>
#include <stddef.h>

#define CHECK_KEY "check the AccessKey id and secret"
#define GRANT "grant the RAM user or role the action iot:QueryDeviceCert"
#define SLOWER "other callers share the account's quota; lower rate in aliyun-iot.conf"
#define NAME_INSTANCE                                                                              \
    "the instance ID must be given (?instance=ID, or instance-id in aliyun-iot.conf), and left "   \
    "out for the public instance; check region too"

/* The first pattern that matches counts. */
static const struct openapi_code codes[] = {
        {"Throttling*", ALIYUN_IOT_REASON_THROTTLED, RETRY_THROTTLED, SLOWER},
        {"*RateLimit*", ALIYUN_IOT_REASON_THROTTLED, RETRY_THROTTLED, SLOWER},
        {"ServiceUnavailable*", ALIYUN_IOT_REASON_SERVICE, RETRY_LATER, "try again later"},
        {"InternalError*", ALIYUN_IOT_REASON_SERVICE, RETRY_LATER, "try again later"},
        {"SignatureNonceUsed", ALIYUN_IOT_REASON_SERVICE, RETRY_LATER, NULL},
        {"iot.system.SystemException", ALIYUN_IOT_REASON_SERVICE, RETRY_LATER, "try again later"},

        {"InvalidTimeStamp*", ALIYUN_IOT_REASON_CLOCK, RETRY_CLOCK, "set this machine's clock"},
        {"IllegalTimestamp*", ALIYUN_IOT_REASON_CLOCK, RETRY_CLOCK, "set this machine's clock"},

        {"InvalidSecurityToken*", ALIYUN_IOT_REASON_BAD_CREDENTIALS, RETRY_CREDENTIALS,
                "the security token is wrong or has expired: get a new one"},
        {"MissingSecurityToken", ALIYUN_IOT_REASON_BAD_CREDENTIALS, RETRY_NEVER,
                "this AccessKey is temporary: its security token must be set too"},
        {"SignatureDoesNotMatch", ALIYUN_IOT_REASON_BAD_CREDENTIALS, RETRY_REREAD,
                "the AccessKey secret is wrong"},
        {"IncompleteSignature", ALIYUN_IOT_REASON_BAD_CREDENTIALS, RETRY_NEVER, CHECK_KEY},
        {"InvalidAccessKeyId*", ALIYUN_IOT_REASON_BAD_CREDENTIALS, RETRY_REREAD, CHECK_KEY},

        {"Forbidden*", ALIYUN_IOT_REASON_REFUSED, RETRY_NEVER, GRANT},
        {"NoPermission*", ALIYUN_IOT_REASON_REFUSED, RETRY_NEVER, GRANT},
        {"iot.common.RamActionPermissionDeny", ALIYUN_IOT_REASON_REFUSED, RETRY_NEVER, GRANT},
        {"iot.Sre.IotInstanceAccessForbidden", ALIYUN_IOT_REASON_REFUSED, RETRY_NEVER,
                "the account may not use this instance: check the instance ID"},
        {"Iot.system.BillIsOverDue", ALIYUN_IOT_REASON_REFUSED, RETRY_NEVER,
                "the account has an overdue bill"},
        {"iot.common.APINotSupportedInInstance", ALIYUN_IOT_REASON_REFUSED, RETRY_NEVER,
                "this instance does not offer QueryDeviceCert"},

        {"iot.prod.NotExistedProduct", ALIYUN_IOT_REASON_NOT_FOUND, RETRY_NEVER,
                "check the product key, and that the AccessKey is of the product's account"},
        {"iot.prod.*Product[Kk]ey", ALIYUN_IOT_REASON_NOT_FOUND, RETRY_NEVER,
                "check the product key"},
        {"iot.device.NotExistedDevice", ALIYUN_IOT_REASON_NOT_FOUND, RETRY_NEVER,
                "check the device name"},
        {"iot.device.*DeviceName", ALIYUN_IOT_REASON_NOT_FOUND, RETRY_NEVER,
                "check the device name"},
        {"iot.device.InactiveDevice", ALIYUN_IOT_REASON_SERVICE, RETRY_NEVER,
                "the device must be activated first"},
        {"iot.system.InstanceNotFound", ALIYUN_IOT_REASON_NOT_FOUND, RETRY_NEVER, NAME_INSTANCE},
        {"iot.Sre.IotInstanceNotFound", ALIYUN_IOT_REASON_NOT_FOUND, RETRY_NEVER, NAME_INSTANCE},

        {"InvalidApi.NotFound", ALIYUN_IOT_REASON_SERVICE, RETRY_NEVER,
                "check region and endpoint: QueryDeviceCert is offered in cn-shanghai alone"},
        {"InvalidProduct.NotFound", ALIYUN_IOT_REASON_SERVICE, RETRY_NEVER,
                "check region and endpoint: QueryDeviceCert is offered in cn-shanghai alone"},
};

static const struct openapi_code unknown_code = {"*", ALIYUN_IOT_REASON_SERVICE, RETRY_NEVER, NULL};

const struct openapi_code *openapi_code_find(const char *code)
{
    for (size_t index = 0; index < sizeof(codes) / sizeof(codes[0]); index++)
        if (fnmatch(codes[index].pattern, code, FNM_CASEFOLD) == 0)
            return &codes[index];
    return &unknown_code;
}
