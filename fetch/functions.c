/* SPDX-License-Identifier: Apache-2.0 */
/* The library's functions for programs and for the provider module. */
#include "private/functions.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/export.h"
#include "base/trace.h"
#include "registry.h"

static struct aliyun_iot_identity *resolve(const char *settings_file, const char *text,
        enum aliyun_iot_object *object, struct aliyun_iot_error **error)
{
    CLEANUP(uri_free) struct uri *uri = uri_parse(text, error);
    CLEANUP(resolver_free) struct resolver *resolver = NULL;
    struct aliyun_iot_identity *identity;

    if (!uri)
        return NULL;
    if (object)
        *object = uri->object;
    resolver = registry_find(settings_file, error);
    identity = resolver ? resolver_resolve(resolver, uri, error) : NULL;
    if (!identity)
        error_prefix(error, "aliyun-iot:%s/%s: ", uri->product_key, uri->device_name);
    return identity;
}

EXPORT void aliyun_iot_error_trace(const char *settings_file, const char *message)
{
    CLEANUP(resolver_free) struct resolver *resolver = registry_find(settings_file, NULL);
    /* Settings that cannot be read name no file, but the environment may. */
    const struct settings environment = {
            .trace_file = secure_getenv("ALIYUN_IOT_TRACE"),
            .trace_level = TRACE_ERROR,
    };

    trace(resolver ? resolver_settings(resolver) : &environment, TRACE_ERROR, "failed error=%s",
            message);
}

EXPORT int aliyun_iot_identity_resolve(const char *settings_file, const char *uri,
        struct aliyun_iot_identity **identity, enum aliyun_iot_object *object,
        struct aliyun_iot_error **error)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *problem = NULL;
    int before = errno;

    if (!error)
        error = &problem;
    *error = NULL;
    /* What failed underneath is in *error; the caller's queue stays as it was. */
    ERR_set_mark();
    *identity = resolve(settings_file, uri, object, error);
    if (!*identity)
        aliyun_iot_error_trace(settings_file, aliyun_iot_error_message(*error));
    ERR_pop_to_mark();
    errno = before;
    return *identity != NULL;
}

struct aliyun_iot_identity *aliyun_iot_identity_reference(struct aliyun_iot_identity *identity)
{
    return identity_reference(identity);
}

int aliyun_iot_identity_sign(const struct aliyun_iot_identity *identity, enum key_scheme scheme,
        const unsigned char *message, size_t message_size, unsigned char *signature, size_t *size,
        struct aliyun_iot_error **error)
{
    const struct key_signer *signer = identity_signer(identity);
    int before = errno;
    int done;

    *error = NULL;
    ERR_set_mark();
    done = signer ? signer->sign(
                            signer->context, scheme, message, message_size, signature, size, error)
                  : error_set(error, ALIYUN_IOT_REASON_INTERNAL, "the private key is data");
    ERR_pop_to_mark();
    errno = before;
    return done;
}

EXPORT const struct functions aliyun_iot_functions = {.size = sizeof(aliyun_iot_functions),
#define FUNCTION(name) .name = aliyun_iot_##name,
        FUNCTIONS(FUNCTION)
#undef FUNCTION
};
