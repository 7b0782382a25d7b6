/* SPDX-License-Identifier: Apache-2.0 */
/* What settings say of a PKCS#11 token. */
#ifndef TOKEN_PLACE_H
#define TOKEN_PLACE_H

#include "base/settings.h"

struct token_place {
    const char *section;     /* of the settings, for messages */
    const char *uri;         /* RFC 7512; of a token, or of a key in one */
    const char *module_path; /* NULL: the URI names it */
    const char *pin_source;  /* see vault/secret_file.h; NULL: the URI names it */
};

static inline struct token_place token_place_of_vault(
        const struct settings *settings, const char *uri)
{
    return (struct token_place){
            "vault", uri, settings->vault_module_path, settings->vault_pin_source};
}

static inline struct token_place token_place_of_devices(const struct settings *settings)
{
    return (struct token_place){
            "token", settings->token_uri, settings->token_module_path, settings->token_pin_source};
}

#endif
