/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/open_token.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <p11-kit/pkcs11.h>

#include "base/buffer.h"
#include "base/process.h"
#include "vault/files.h"
#include "vault/token/pin.h"
#include "vault/token/token_uri.h"

enum { TOKEN_ID_SIZE_MAX = 64 };

struct open_token {
    char *module_path, *uri;
    unsigned char id[TOKEN_ID_SIZE_MAX]; /* of the key; empty: the URI names the key */
    size_t id_size;
    EVP_PKEY *key; /* NULL: not found yet */
    PKCS11_CTX *context;
    PKCS11_SLOT *slots, *slot; /* all of them, and the token's */
    unsigned slot_count;
    const char *section; /* of the settings that name its PIN */
    bool was_refused;    /* that PIN */
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

static bool is_of(const struct open_token *token, const char *uri, struct bytes id)
{
    return strcmp(token->uri, uri) == 0 && token->id_size == id.left &&
           (id.left == 0 || memcmp(token->id, id.at, id.left) == 0);
}

static struct open_token *find_open(const char *module_path, const char *uri, struct bytes id)
{
    struct open_token *token = tokens;

    while (token && !(is_of(token, uri, id) && strcmp(token->module_path, module_path) == 0))
        token = token->next;
    return token;
}

/* An entry of the list, which is not open yet. */
static struct open_token *add(
        const char *module_path, const char *uri, struct bytes id, struct aliyun_iot_error **error)
{
    struct open_token *token = id.left <= TOKEN_ID_SIZE_MAX ? calloc(1, sizeof(*token)) : NULL;

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
    token->id_size = id.left;
    if (id.left > 0)
        memcpy(token->id, id.at, id.left);
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

/* Each key has an entry of its own, but a token counts wrong PINs for all of them. */
static bool was_refused(const struct open_token *token)
{
    for (const struct open_token *other = tokens; other; other = other->next)
        if (other->was_refused && other->slot &&
                strcmp(other->module_path, token->module_path) == 0 &&
                strcmp(other->section, token->section) == 0 &&
                PKCS11_get_slotid_from_slot(other->slot) ==
                        PKCS11_get_slotid_from_slot(token->slot))
            return true;
    return false;
}

static int log_in(struct open_token *token, const struct token_place *place,
        const struct token_uri *uri, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *pin = BUF_MEM_new();
    int logged_in = 0;

    if (PKCS11_is_logged_in(token->slot, 0, &logged_in) == 0 && logged_in)
        return 1;
    token->section = place->section;
    if (was_refused(token))
        return error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "the token refused its PIN before, so it is not tried again; correct the PIN, and "
                "restart the program");
    if (!pin)
        return error_set_out_of_memory(error);
    if (!token_pin_read(place, uri, pin, error))
        return 0;
    if (PKCS11_login(token->slot, 0, pin->data) == 0)
        return 1;
    token->was_refused = is_about_pin(ERR_GET_REASON(ERR_peek_last_error()));
    return error_set(error, ALIYUN_IOT_REASON_TOKEN,
            token->was_refused ? "the token refuses the PIN of pin-source: %s"
                               : "the token cannot be logged in to: %s",
            reason());
}

static bool is_wanted(
        const struct open_token *token, const struct token_uri *uri, const PKCS11_KEY *key)
{
    return token->id_size > 0 ? key->id_len == token->id_size &&
                                        memcmp(key->id, token->id, token->id_size) == 0
                              : token_uri_matches_key(uri, key);
}

static int refuse_key(
        const struct open_token *token, bool is_found, struct aliyun_iot_error **error)
{
    if (is_found)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the key %.300s is no RSA key; use one", token->uri);
    return error_set(error,
            token->id_size > 0 ? ALIYUN_IOT_REASON_NOT_FOUND : ALIYUN_IOT_REASON_BAD_SETTINGS,
            "no private key fits %.300s", token->uri);
}

static EVP_PKEY *find_key(
        struct open_token *token, const struct token_uri *uri, struct aliyun_iot_error **error)
{
    PKCS11_KEY *keys, *found = NULL;
    unsigned count = 0;
    EVP_PKEY *key = NULL;

    if (PKCS11_enumerate_keys(token->slot->token, &keys, &count) != 0) {
        error_set(error, ALIYUN_IOT_REASON_TOKEN, "the token cannot list its keys: %s", reason());
        return NULL;
    }
    for (unsigned index = 0; index < count; index++) {
        if (!is_wanted(token, uri, &keys[index]))
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
    if (key && EVP_PKEY_is_a(key, "RSA")) {
        token->key = key;
        return key;
    }
    EVP_PKEY_free(key);
    refuse_key(token, found != NULL, error);
    return NULL;
}

/* The token, with the process logged in. With the lock held. NULL with *error set. */
static struct open_token *open_token(const struct token_place *place, const struct token_uri *uri,
        struct bytes id, struct aliyun_iot_error **error)
{
    const char *module_path = setting_or(place->module_path, token_uri_module_path(uri));
    struct open_token *token;

    if (!module_path) {
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PKCS#11 module is not known: set module-path in section [%s]",
                place->section);
        return NULL;
    }
    token = find_open(module_path, place->uri, id);
    if (!token)
        token = add(module_path, place->uri, id, error);
    return token && load_module(token, error) && find_slot(token, uri, error) &&
                           log_in(token, place, uri, error)
                   ? token
                   : NULL;
}

static void lock_tokens(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, take_part_in_fork);
    pthread_mutex_lock(&busy);
}

/* The key that was found before; NULL: none. With the lock held. */
static EVP_PKEY *find_open_key(
        const struct token_place *place, const struct token_uri *uri, struct bytes id)
{
    const char *module_path = setting_or(place->module_path, token_uri_module_path(uri));
    const struct open_token *token = module_path ? find_open(module_path, place->uri, id) : NULL;

    return token ? token->key : NULL;
}

static EVP_PKEY *search_key(const struct token_place *place, const struct token_uri *uri,
        struct bytes id, struct aliyun_iot_error **error)
{
    FILES_CLEANUP int turn = token_take_turn(place, uri, error);
    struct open_token *token = turn >= 0 ? open_token(place, uri, id, error) : NULL;

    return token ? find_key(token, uri, error) : NULL;
}

EVP_PKEY *open_token_key(
        const struct token_place *place, struct bytes id, struct aliyun_iot_error **error)
{
    CLEANUP(token_uri_free) struct token_uri *uri = token_uri_parse(place->uri, error);
    EVP_PKEY *key;

    if (!uri)
        return NULL;
    ERR_set_mark();
    lock_tokens();
    key = find_open_key(place, uri, id);
    if (!key)
        key = search_key(place, uri, id, error);
    if (key)
        EVP_PKEY_up_ref(key);
    pthread_mutex_unlock(&busy);
    ERR_pop_to_mark();
    return key;
}

void open_token_forget(const struct token_place *place, struct bytes id)
{
    lock_tokens();
    for (struct open_token *token = tokens; token; token = token->next) {
        if (!is_of(token, place->uri, id))
            continue;
        EVP_PKEY_free(token->key);
        token->key = NULL;
        /* libp11 may remember the old key in there. What it has is left: see open_token.h. */
        token->context = NULL;
        token->slots = NULL;
        token->slot = NULL;
    }
    pthread_mutex_unlock(&busy);
}

int open_token_use(const struct token_place *place, struct bytes id,
        int (*use)(void *context, const char *module_path, unsigned long slot_id,
                struct aliyun_iot_error **error),
        void *context, struct aliyun_iot_error **error)
{
    CLEANUP(token_uri_free) struct token_uri *uri = token_uri_parse(place->uri, error);
    FILES_CLEANUP int turn = -1;
    struct open_token *token;
    int done = 0;

    if (!uri)
        return 0;
    ERR_set_mark();
    lock_tokens();
    turn = token_take_turn(place, uri, error);
    token = turn >= 0 ? open_token(place, uri, id, error) : NULL;
    if (token)
        done = use(context, token->module_path, PKCS11_get_slotid_from_slot(token->slot), error);
    pthread_mutex_unlock(&busy);
    ERR_pop_to_mark();
    return done;
}
