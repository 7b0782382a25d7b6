/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/open_token.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <p11-kit/pkcs11.h>

#include "base/buffer.h"
#include "base/process.h"
#include "base/text.h"
#include "vault/secret_file.h"
#include "vault/token/token_uri.h"

enum { PIN_SIZE_MAX = 256 };

struct open_token {
    char *module_path, *uri;
    PKCS11_CTX *context;
    PKCS11_SLOT *slots, *slot; /* all of them, and the token's */
    unsigned slot_count;
    bool was_refused; /* its PIN */
    struct open_token *next;
};

static struct open_token *tokens;

/* Held for as long as a token takes to answer, so fork() must not wait for it. */
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;

/*
 * A thread of the parent may be in the middle of anything here. The child leaves what the parent
 * has open, and opens its own.
 */
static void begin_anew(void *context)
{
    static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

    (void)context;
    tokens = NULL;
    busy = unlocked;
}

static void take_part_in_fork(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* nobody else holds it */
    static struct fork_participant participant = {.lock = &lock, .reset_in_child = begin_anew};

    process_register(&participant);
}

/* What the token, or libp11, said last. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "no reason given";
}

static const char *setting_or(const char *setting, const char *of_uri)
{
    return setting ? setting : of_uri;
}

/* The PIN ends before a line break at the end of its file. */
static int read_pin(const struct settings *settings, const struct token_uri *uri, BUF_MEM *pin,
        struct aliyun_iot_error **error)
{
    const char *source = setting_or(settings->vault_pin_source, token_uri_pin_source(uri));

    if (!source)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PIN is not known: set pin-source in section [vault]");
    if (strncmp(source, SECRET_FILE, strlen(SECRET_FILE)) != 0 &&
            strncmp(source, SECRET_SYSTEMD, strlen(SECRET_SYSTEMD)) != 0)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PIN: expected file:PATH or systemd:NAME as pin-source");
    if (!secret_file_read(source, "the token's PIN", PIN_SIZE_MAX, pin, error))
        return 0;
    pin->data[strcspn(pin->data, "\r\n")] = '\0';
    return 1;
}

static struct open_token *find_open(const char *module_path, const char *uri)
{
    struct open_token *token = tokens;

    while (token && (strcmp(token->module_path, module_path) != 0 || strcmp(token->uri, uri) != 0))
        token = token->next;
    return token;
}

/* An entry of the list, which is not open yet. */
static struct open_token *add(
        const char *module_path, const char *uri, struct aliyun_iot_error **error)
{
    struct open_token *token = calloc(1, sizeof(*token));

    if (token) {
        token->module_path = strdup(module_path);
        token->uri = strdup(uri);
    }
    if (!token || !token->module_path || !token->uri) {
        if (token) {
            free(token->module_path);
            free(token->uri);
        }
        free(token);
        error_set_out_of_memory(error);
        return NULL;
    }
    token->next = tokens;
    tokens = token;
    return token;
}

static int load_module(struct open_token *token, struct aliyun_iot_error **error)
{
    if (token->context)
        return 1;
    token->context = PKCS11_CTX_new();
    if (!token->context)
        return error_set_out_of_memory(error);
    if (PKCS11_CTX_load(token->context, token->module_path) == 0)
        return 1;
    error_set(error, ALIYUN_IOT_REASON_TOKEN,
            "the PKCS#11 module %.300s cannot be loaded or refuses: %s; check module-path",
            token->module_path, reason());
    PKCS11_CTX_free(token->context);
    token->context = NULL;
    return 0;
}

static int find_slot(
        struct open_token *token, const struct token_uri *uri, struct aliyun_iot_error **error)
{
    unsigned count = 0;

    if (token->slot)
        return 1;
    if (!token->slots && PKCS11_enumerate_slots(token->context, &token->slots, &count) != 0)
        return error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "the PKCS#11 module %.300s cannot list its slots: %s", token->module_path,
                reason());
    if (count > 0)
        token->slot_count = count;
    for (unsigned index = 0; index < token->slot_count; index++) {
        PKCS11_SLOT *slot = &token->slots[index];

        if (!slot->token || !slot->token->initialized || !token_uri_matches_token(uri, slot->token))
            continue;
        if (token->slot) {
            token->slot = NULL;
            return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                    "more than one token fits %.300s; name its serial too", token->uri);
        }
        token->slot = slot;
    }
    if (token->slot)
        return 1;
    /* Next time it is looked for anew. What libp11 has is left: see open_token.h. */
    token->context = NULL;
    token->slots = NULL;
    return error_set(error, ALIYUN_IOT_REASON_TOKEN,
            "no token in %.300s fits %.300s; insert it, or correct the URI", token->module_path,
            token->uri);
}

/* libp11's reasons are the return values of PKCS#11. */
static bool is_about_pin(int code)
{
    return code == CKR_PIN_INCORRECT || code == CKR_PIN_INVALID || code == CKR_PIN_LEN_RANGE ||
           code == CKR_PIN_EXPIRED || code == CKR_PIN_LOCKED;
}

static int log_in(struct open_token *token, const struct settings *settings,
        const struct token_uri *uri, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *pin = BUF_MEM_new();
    int logged_in = 0;

    if (PKCS11_is_logged_in(token->slot, 0, &logged_in) == 0 && logged_in)
        return 1;
    if (token->was_refused)
        return error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "the token refused its PIN before, so it is not tried again; correct the PIN, and "
                "restart the program");
    if (!pin)
        return error_set_out_of_memory(error);
    if (!read_pin(settings, uri, pin, error))
        return 0;
    if (PKCS11_login(token->slot, 0, pin->data) == 0)
        return 1;
    token->was_refused = is_about_pin(ERR_GET_REASON(ERR_peek_last_error()));
    return error_set(error, ALIYUN_IOT_REASON_TOKEN,
            token->was_refused ? "the token refuses the PIN of pin-source: %s"
                               : "the token cannot be logged in to: %s",
            reason());
}

static EVP_PKEY *find_key(const struct open_token *token, const struct token_uri *uri,
        struct aliyun_iot_error **error)
{
    PKCS11_KEY *keys, *found = NULL;
    unsigned count = 0;
    EVP_PKEY *key = NULL;

    if (PKCS11_enumerate_keys(token->slot->token, &keys, &count) != 0) {
        error_set(error, ALIYUN_IOT_REASON_TOKEN, "the token cannot list its keys: %s", reason());
        return NULL;
    }
    for (unsigned index = 0; index < count; index++) {
        if (!token_uri_matches_key(uri, &keys[index]))
            continue;
        if (found) {
            error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                    "more than one private key fits %.300s; name its id too", token->uri);
            return NULL;
        }
        found = &keys[index];
    }
    if (found)
        key = PKCS11_get_private_key(found);
    if (key && EVP_PKEY_is_a(key, "RSA"))
        return key;
    EVP_PKEY_free(key);
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            found ? "the key %.300s is no RSA key; use one" : "no private key fits %.300s",
            token->uri);
    return NULL;
}

static EVP_PKEY *open_key(const struct settings *settings, const char *text,
        const struct token_uri *uri, struct aliyun_iot_error **error)
{
    const char *module_path = setting_or(settings->vault_module_path, token_uri_module_path(uri));
    struct open_token *token;

    if (!module_path) {
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PKCS#11 module is not known: set module-path in section [vault]");
        return NULL;
    }
    token = find_open(module_path, text);
    if (!token)
        token = add(module_path, text, error);
    if (!token || !load_module(token, error) || !find_slot(token, uri, error) ||
            !log_in(token, settings, uri, error))
        return NULL;
    return find_key(token, uri, error);
}

EVP_PKEY *open_token_key(
        const struct settings *settings, const char *uri, struct aliyun_iot_error **error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLEANUP(token_uri_free) struct token_uri *parsed = token_uri_parse(uri, error);
    EVP_PKEY *key;

    if (!parsed)
        return NULL;
    pthread_once(&once, take_part_in_fork);
    ERR_set_mark();
    pthread_mutex_lock(&busy);
    key = open_key(settings, uri, parsed, error);
    pthread_mutex_unlock(&busy);
    ERR_pop_to_mark();
    return key;
}
