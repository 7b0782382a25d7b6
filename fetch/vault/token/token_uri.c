/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/token_uri.h"

#include <stdlib.h>
#include <string.h>

#include <p11-kit/uri.h>

struct token_uri {
    P11KitUri *parsed;
};

void token_uri_free(struct token_uri *uri)
{
    if (!uri)
        return;
    p11_kit_uri_free(uri->parsed);
    free(uri);
}

struct token_uri *token_uri_parse(const char *text, struct aliyun_iot_error **error)
{
    CLEANUP(token_uri_free) struct token_uri *uri = calloc(1, sizeof(*uri));
    const char *problem = NULL;
    int result;

    if (uri)
        uri->parsed = p11_kit_uri_new();
    if (!uri || !uri->parsed) {
        error_set_out_of_memory(error);
        return NULL;
    }
    result = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri->parsed);
    if (result != P11_KIT_URI_OK)
        problem = p11_kit_uri_message(result);
    else if (p11_kit_uri_any_unrecognized(uri->parsed))
        problem = "it has a part that is not known";
    else if (p11_kit_uri_get_pin_value(uri->parsed))
        problem = "a PIN does not belong in it; use pin-source";
    if (!problem)
        return take(uri);
    /* It is not shown: it may hold a PIN. */
    error_set(
            error, ALIYUN_IOT_REASON_BAD_SETTINGS, "the PKCS#11 URI in the settings: %s", problem);
    return NULL;
}

const char *token_uri_module_path(const struct token_uri *uri)
{
    return p11_kit_uri_get_module_path(uri->parsed);
}

const char *token_uri_pin_source(const struct token_uri *uri)
{
    return p11_kit_uri_get_pin_source(uri->parsed);
}

/* PKCS#11 fills its fields with blanks. */
static void fill(CK_UTF8CHAR *field, size_t size, const char *text)
{
    size_t length = text ? strnlen(text, size) : 0;

    memset(field, ' ', size);
    if (length > 0)
        memcpy(field, text, length);
}

bool token_uri_matches_token(const struct token_uri *uri, const PKCS11_TOKEN *token)
{
    CK_TOKEN_INFO info = {.flags = 0};

    fill(info.label, sizeof(info.label), token->label);
    fill(info.manufacturerID, sizeof(info.manufacturerID), token->manufacturer);
    fill(info.model, sizeof(info.model), token->model);
    fill(info.serialNumber, sizeof(info.serialNumber), token->serialnr);
    return p11_kit_uri_match_token_info(uri->parsed, &info);
}

static bool matches(
        const struct token_uri *uri, CK_ATTRIBUTE_TYPE type, const void *value, size_t size)
{
    const CK_ATTRIBUTE *wanted = p11_kit_uri_get_attribute(uri->parsed, type);

    return !wanted || (wanted->ulValueLen == size && memcmp(wanted->pValue, value, size) == 0);
}

bool token_uri_matches_key(const struct token_uri *uri, const PKCS11_KEY *key)
{
    const char *label = key->label ? key->label : "";

    return matches(uri, CKA_LABEL, label, strlen(label)) &&
           matches(uri, CKA_ID, key->id, key->id_len);
}
