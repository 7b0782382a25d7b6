/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/pattern.h"
#include "base/text.h"

/* The members of requests, beside version and operation, which all have. */
enum {
    MEMBER_URI = 1,
    MEMBER_TIMEOUT = 2,
    MEMBER_KEY = 4,
    MEMBER_SCHEME = 8,
    MEMBER_MESSAGE = 16,
    MEMBER_PATTERN = 32,
    MEMBER_AFTER = 64
};

static const struct {
    const char *name;
    unsigned mandatory, optional;
    bool is_operators;
} operations[OPERATION_COUNT] = {
        [OPERATION_HEALTH] = {"health", 0, 0, false},
        [OPERATION_IDENTITY] = {"identity", MEMBER_URI | MEMBER_TIMEOUT, 0, false},
        [OPERATION_SIGN] = {"sign",
                MEMBER_URI | MEMBER_TIMEOUT | MEMBER_KEY | MEMBER_SCHEME | MEMBER_MESSAGE, 0,
                false},
        [OPERATION_EXPORT] = {"export", MEMBER_URI | MEMBER_TIMEOUT, 0, false},
        [OPERATION_STATUS] = {"status", 0, 0, true},
        [OPERATION_LIST] = {"list", 0, MEMBER_AFTER, true},
        [OPERATION_METRICS] = {"metrics", 0, 0, true},
        [OPERATION_EVICT] = {"evict", MEMBER_PATTERN, 0, true},
        [OPERATION_RELOAD] = {"reload", 0, 0, true},
};

const char *operation_name(enum operation operation)
{
    return operations[operation].name;
}

bool operation_is_operators(enum operation operation)
{
    return operations[operation].is_operators;
}

/* Returns false, so that a function can end with it. */
static bool refuse(
        struct refusal *refusal, const char *reason, const char *what, const char *problem)
{
    refusal->reason = reason;
    error_set(&refusal->error, ALIYUN_IOT_REASON_AGENT, "the request is refused: %.60s %s", what,
            problem);
    return false;
}

static bool refuse_bad(struct refusal *refusal, const char *what, const char *problem)
{
    return refuse(refusal, "BAD_REQUEST", what, problem);
}

static bool out_of_memory(struct refusal *refusal)
{
    refusal->reason = NULL;
    error_set_out_of_memory(&refusal->error);
    return false;
}

static bool read_pattern(const char *text, struct request *request, struct refusal *refusal)
{
    if (!pattern_is_valid(text))
        return refuse_bad(refusal, "pattern",
                "must be PRODUCT_KEY/DEVICE_NAME, where * is any run of characters but /");
    request->pattern = strdup(text);
    return request->pattern || out_of_memory(refusal);
}

static bool read_uri(const char *text, struct request *request, struct refusal *refusal)
{
    request->uri = uri_parse(text, &refusal->error);
    if (request->uri)
        return true;
    refusal->reason = NULL;
    return false;
}

static bool read_key(const char *text, struct request *request, struct refusal *refusal)
{
    if (strlen(text) != AGENT_KEY_HASH_SIZE - 1 || text[strspn(text, DIGITS "abcdef")])
        return refuse_bad(refusal, "key", "must be 64 hexadecimal digits in lower case");
    memcpy(request->key, text, AGENT_KEY_HASH_SIZE);
    return true;
}

static bool read_message(const char *text, struct request *request, struct refusal *refusal)
{
    const char *problem;

    request->message = BUF_MEM_new();
    if (!request->message)
        return out_of_memory(refusal);
    problem = base64_decode(text, strlen(text), request->message);
    if (problem)
        return refuse_bad(refusal, "message", problem);
    if (request->message->length <= AGENT_MESSAGE_MAX_BYTES)
        return true;
    refusal->limit = "message-bytes";
    return refuse(refusal, "LIMITED", "message", "has more than 131072 bytes");
}

static bool read_scheme(const char *text, struct request *request, struct refusal *refusal)
{
    return agent_scheme_find(text, &request->scheme) ||
           refuse(refusal, "BAD_SCHEME", "scheme", "is none that this agent knows");
}

static bool read_text_member(
        unsigned member, const char *text, struct request *request, struct refusal *refusal)
{
    switch (member) {
    case MEMBER_URI:
        return read_uri(text, request, refusal);
    case MEMBER_KEY:
        return read_key(text, request, refusal);
    case MEMBER_SCHEME:
        return read_scheme(text, request, refusal);
    case MEMBER_MESSAGE:
        return read_message(text, request, refusal);
    default:
        return read_pattern(text, request, refusal);
    }
}

static bool is_whole_number(const cJSON *value, double least, double most)
{
    double number = cJSON_IsNumber(value) ? cJSON_GetNumberValue(value) : least - 1;

    return number >= least && number <= most && number == (double)(int64_t)number;
}

static bool read_number_member(
        unsigned member, const cJSON *value, struct request *request, struct refusal *refusal)
{
    if (member == MEMBER_AFTER) {
        if (!is_whole_number(value, 0, INT32_MAX))
            return refuse_bad(refusal, "after", "must be a whole number, not below 0");
        request->after = (int64_t)cJSON_GetNumberValue(value);
    } else {
        if (!is_whole_number(value, 1, AGENT_TIMEOUT_MAX_MS))
            return refuse_bad(
                    refusal, "timeout", "must be a whole number of milliseconds, 1 to 3600000");
        request->timeout_ms = (int64_t)cJSON_GetNumberValue(value);
    }
    return true;
}

static unsigned find_member(const char *name)
{
    static const struct {
        const char *name;
        unsigned member;
    } members[] = {
            {"uri", MEMBER_URI},
            {"timeout", MEMBER_TIMEOUT},
            {"key", MEMBER_KEY},
            {"scheme", MEMBER_SCHEME},
            {"message", MEMBER_MESSAGE},
            {"pattern", MEMBER_PATTERN},
            {"after", MEMBER_AFTER},
    };

    for (size_t index = 0; index < sizeof(members) / sizeof(members[0]); index++)
        if (strcmp(members[index].name, name) == 0)
            return members[index].member;
    return 0;
}

static bool read_members(const cJSON *object, struct request *request, struct refusal *refusal)
{
    unsigned missing = operations[request->operation].mandatory;
    unsigned allowed = missing | operations[request->operation].optional;
    const cJSON *value;

    cJSON_ArrayForEach(value, object)
    {
        unsigned member = find_member(value->string);
        const char *text = cJSON_GetStringValue(value);

        if (strcmp(value->string, "version") == 0 || strcmp(value->string, "operation") == 0)
            continue;
        if (!(member & allowed))
            return refuse_bad(refusal, value->string, "is no member of this operation");
        missing &= ~member;
        if (member & (MEMBER_TIMEOUT | MEMBER_AFTER)) {
            if (!read_number_member(member, value, request, refusal))
                return false;
        } else if (!text) {
            return refuse_bad(refusal, value->string, "must be text");
        } else if (!read_text_member(member, text, request, refusal)) {
            return false;
        }
    }
    return !missing ||
           refuse_bad(refusal, operation_name(request->operation), "lacks one of its members");
}

static bool read_operation(const cJSON *object, struct request *request, struct refusal *refusal)
{
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(object, "version");
    const char *name = json_string(object, "operation");

    if (!cJSON_IsNumber(version))
        return refuse_bad(refusal, "version", "must be a number");
    if (cJSON_GetNumberValue(version) != AGENT_PROTOCOL_VERSION)
        return refuse(refusal, "UNSUPPORTED_VERSION", "version",
                "is another one than 1, which this agent speaks; install both of one version");
    if (!name)
        return refuse_bad(refusal, "operation", "must be text");
    for (int index = 0; index < OPERATION_COUNT; index++) {
        if (strcmp(operations[index].name, name) == 0) {
            request->operation = (enum operation)index;
            return true;
        }
    }
    return refuse(refusal, "UNSUPPORTED_OPERATION", "operation", "is none that this agent knows");
}

bool request_parse(
        const char *packet, size_t size, struct request *request, struct refusal *refusal)
{
    const char *problem = NULL;
    CLEANUP(json_free) cJSON *object = json_parse(packet, size, AGENT_DEPTH_MAX, &problem);

    *request = (struct request){.uri = NULL};
    *refusal = (struct refusal){.reason = NULL};
    if (!object)
        return refuse_bad(refusal, "of the packet,", problem);
    if (read_operation(object, request, refusal) && read_members(object, request, refusal))
        return true;
    request_release(request);
    return false;
}

void request_release(struct request *request)
{
    uri_free(request->uri);
    BUF_MEM_free(request->message);
    free(request->pattern);
    *request = (struct request){.uri = NULL};
}
