/* SPDX-License-Identifier: Apache-2.0 */
/* Which key in which token: a PKCS#11 URI (RFC 7512), read by p11-kit. */
#ifndef TOKEN_URI_H
#define TOKEN_URI_H

#include <stdbool.h>

#include <libp11.h>

#include "base/error.h"
#include "private/cleanup.h"

struct token_uri;

/*
 * Reads a URI. One with a PIN in it, or with a part that is not known, is refused. To be freed with
 * token_uri_free(); NULL with *error set (BAD_SETTINGS).
 */
struct token_uri *token_uri_parse(const char *text, struct aliyun_iot_error **error);
void token_uri_free(struct token_uri *uri);
DEFINE_CLEANUP(struct token_uri *, token_uri_free);

/* What the URI's query names; NULL: nothing. */
const char *token_uri_module_path(const struct token_uri *uri);
const char *token_uri_pin_source(const struct token_uri *uri);

bool token_uri_matches_token(const struct token_uri *uri, const PKCS11_TOKEN *token);
bool token_uri_matches_key(const struct token_uri *uri, const PKCS11_KEY *key);

#endif
