/* SPDX-License-Identifier: Apache-2.0 */
/* The provider's section of openssl.cnf. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/params.h>

#include "provider.h"

/* Reads a boolean of openssl.cnf. OpenSSL accepts the same words. */
static bool parse_boolean(const char *text, bool *value)
{
    static const char *const words[][2] = {
            {"no", "yes"}, {"0", "1"}, {"off", "on"}, {"false", "true"}};

    for (size_t index = 0; index < sizeof(words) / sizeof(words[0]); index++) {
        for (int truth = 0; truth <= 1; truth++) {
            if (strcasecmp(text, words[index][truth]) == 0) {
                *value = truth;
                return true;
            }
        }
    }
    return false;
}

/* Returns false when out of memory. */
static bool read_boolean(struct provider *provider, const char *key, const char *text, bool *value)
{
    if (!text || provider->wrong_setting || parse_boolean(text, value))
        return true;
    if (asprintf(&provider->wrong_setting,
                "%s in the provider's section of openssl.cnf is \"%.64s\"; write yes or no", key,
                text) < 0)
        provider->wrong_setting = NULL;
    return provider->wrong_setting != NULL;
}

bool provider_read_section(struct provider *provider, OSSL_FUNC_core_get_params_fn *get_params)
{
    char *settings_file = NULL, *identity_files = NULL, *opaque_keys = NULL, *fips = NULL;
    OSSL_PARAM params[] = {
            OSSL_PARAM_utf8_ptr("config", &settings_file, 0),
            OSSL_PARAM_utf8_ptr("identity-files", &identity_files, 0),
            OSSL_PARAM_utf8_ptr("opaque-keys", &opaque_keys, 0),
            OSSL_PARAM_utf8_ptr("fips", &fips, 0),
            OSSL_PARAM_END,
    };

    provider->identity_files = true;
    provider->expects_opaque_keys = secure_getenv("ALIYUN_IOT_AGENT") != NULL;
    if (!get_params(provider->core, params))
        return true;
    if (settings_file && *settings_file) {
        provider->settings_file = OPENSSL_strdup(settings_file);
        if (!provider->settings_file)
            return false;
    }
    return read_boolean(provider, "identity-files", identity_files, &provider->identity_files) &&
           read_boolean(provider, "opaque-keys", opaque_keys, &provider->expects_opaque_keys) &&
           read_boolean(provider, "fips", fips, &provider->claims_fips);
}

void provider_free_section(struct provider *provider)
{
    OPENSSL_free(provider->settings_file);
    free(provider->wrong_setting);
}
