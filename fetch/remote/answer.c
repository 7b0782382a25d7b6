/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/answer.h"

#include <string.h>

#include "base/base64.h"
#include "base/cryptography.h"

enum { CERTIFICATES_MAX = 16 };

static int fail(struct aliyun_iot_error **error, const char *name, const char *problem)
{
    return error_set(error, ALIYUN_IOT_REASON_AGENT,
            "the agent's answer is malformed: %s %s; the agent and this library must be of "
            "versions that fit each other",
            name, problem);
}

/* Words of the protocol that are no reason of <aliyun-iot/error.h>. */
static const struct {
    const char *name;
    enum aliyun_iot_reason reason;
} protocol_reasons[] = {
        {"DENIED", ALIYUN_IOT_REASON_REFUSED},
        {"LIMITED", ALIYUN_IOT_REASON_LIMITED},
        {"CHANGED", ALIYUN_IOT_REASON_KEY_MISMATCH},
};

/* Words that a later version adds are the agent's problem. */
static enum aliyun_iot_reason find_reason(const char *name)
{
    int reason = agent_reason_find(name);

    for (size_t index = 0; index < sizeof(protocol_reasons) / sizeof(protocol_reasons[0]); index++)
        if (strcmp(protocol_reasons[index].name, name) == 0)
            return protocol_reasons[index].reason;
    return reason ? (enum aliyun_iot_reason)reason : ALIYUN_IOT_REASON_AGENT;
}

static int tell_failure(const cJSON *answer, bool *reconnect, struct aliyun_iot_error **error)
{
    const char *reason = json_string(answer, "reason");
    const char *message = json_string(answer, "message");

    if (!reason || !message || !*message)
        return fail(error, "reason or message", "is missing");
    *reconnect = strcmp(reason, "RECONNECT") == 0;
    return error_set(error, find_reason(reason), "%s", message);
}

cJSON *answer_parse(const BUF_MEM *answer, bool *reconnect, struct aliyun_iot_error **error)
{
    const char *problem;
    CLEANUP(json_free)
    cJSON *object = json_parse(answer->data, answer->length, AGENT_DEPTH_MAX, &problem);
    const cJSON *done;

    *reconnect = false;
    if (!object) {
        fail(error, "as a whole,", problem);
        return NULL;
    }
    done = cJSON_GetObjectItemCaseSensitive(object, "ok");
    if (!cJSON_IsBool(done)) {
        fail(error, "ok", "is missing");
        return NULL;
    }
    if (cJSON_IsTrue(done))
        return take(object);
    tell_failure(object, reconnect, error);
    return NULL;
}

static int read_base64(
        const char *text, const char *name, BUF_MEM *content, struct aliyun_iot_error **error)
{
    const char *problem = text ? base64_decode(text, strlen(text), content) : "is missing";

    return problem ? fail(error, name, problem) : 1;
}

int answer_read_bytes(
        const cJSON *answer, const char *name, BUF_MEM *content, struct aliyun_iot_error **error)
{
    return read_base64(json_string(answer, name), name, content, error);
}

static int add_certificate(STACK_OF(X509) *certificates, OSSL_LIB_CTX *context, const char *text,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *der = BUF_MEM_new();
    CLEANUP(X509_free) X509 *certificate = X509_new_ex(context, NULL);
    const unsigned char *bytes, *end;

    if (!der || !certificate)
        return error_set_out_of_memory(error);
    if (!read_base64(text, "certificates", der, error))
        return 0;
    bytes = (const unsigned char *)der->data;
    end = bytes + der->length;
    if (!d2i_X509(&certificate, &bytes, (long)der->length) || bytes != end)
        return fail(error, "certificates", "holds something that is no certificate");
    if (!sk_X509_push(certificates, certificate))
        return error_set_out_of_memory(error);
    certificate = NULL;
    return 1;
}

static int check_key(const cJSON *answer, OSSL_LIB_CTX *context, const X509 *leaf,
        char hash[AGENT_KEY_HASH_SIZE], struct aliyun_iot_error **error)
{
    const char *named = json_string(answer, "key");

    if (!X509_get0_pubkey(leaf))
        return fail(error, "certificates", "begins with one whose key OpenSSL cannot read");
    if (!agent_key_hash(context, leaf, hash))
        return error_set_openssl(error, "the hash of the public key cannot be made");
    if (!named || strcmp(named, hash) != 0)
        return fail(error, "key", "is not that of the certificate");
    return 1;
}

int answer_read_identity(
        const cJSON *answer, struct answered_identity *identity, struct aliyun_iot_error **error)
{
    const cJSON *certificates = cJSON_GetObjectItemCaseSensitive(answer, "certificates");
    int count = cJSON_IsArray(certificates) ? cJSON_GetArraySize(certificates) : 0;
    CLEANUP(certificates_free) STACK_OF(X509) *made = sk_X509_new_null();
    OSSL_LIB_CTX *context = cryptography_context(error);
    const cJSON *certificate;

    if (!context)
        return 0;
    if (!made)
        return error_set_out_of_memory(error);
    if (count < 1 || count > CERTIFICATES_MAX)
        return fail(error, "certificates", "must be a list of 1 to 16");
    cJSON_ArrayForEach(certificate, certificates)
    {
        if (!add_certificate(made, context, cJSON_GetStringValue(certificate), error))
            return 0;
    }
    if (!check_key(answer, context, sk_X509_value(made, 0), identity->key_hash, error))
        return 0;
    identity->certificates = take(made);
    return 1;
}
