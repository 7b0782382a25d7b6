/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token/open_token.h"

#include <dlfcn.h>
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

struct open_token {
    char *module_path, *uri;
    EVP_PKEY *key; /* that the URI names; NULL: not found yet */
    PKCS11_CTX *context;
    CK_FUNCTION_LIST *functions; /* the same module's, for what libp11 cannot do */
    PKCS11_SLOT *slots, *slot;   /* all of them, and the token's */
    unsigned slot_count;
    struct open_token *next;
};

/* A PIN that a token refused. */
struct refusal {
    char *module_path;
    unsigned long slot_id;
    struct stat pin_file;
    struct refusal *next;
};

static struct open_token *tokens;
static struct refusal *refusals; /* a child of fork() keeps them: the token counts for all */

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

/* libp11 has the module loaded, so it stays. */
static CK_FUNCTION_LIST *find_functions(const char *module_path)
{
    CK_RV (*get_functions)(CK_FUNCTION_LIST * *functions) = NULL;
    CK_FUNCTION_LIST *functions = NULL;
    void *module = dlopen(module_path, RTLD_LAZY | RTLD_LOCAL);

    if (module)
        *(void **)&get_functions = dlsym(module, "C_GetFunctionList");
    return get_functions && get_functions(&functions) == CKR_OK ? functions : NULL;
}

static int load_module(struct open_token *token, struct aliyun_iot_error **error)
{
    PKCS11_CTX *context;

    if (token->context)
        return 1;
    context = PKCS11_CTX_new();
    if (!context)
        return error_set_out_of_memory(error);
    if (PKCS11_CTX_load(context, token->module_path) == 0 &&
            (token->functions = find_functions(token->module_path))) {
        token->context = context;
        return 1;
    }
    error_set(error, ALIYUN_IOT_REASON_TOKEN,
            "the PKCS#11 module %.300s cannot be loaded or refuses: %s; check module-path",
            token->module_path, reason());
    PKCS11_CTX_free(context);
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

static bool is_same_file(const struct stat *left, const struct stat *right)
{
    return left->st_dev == right->st_dev && left->st_ino == right->st_ino &&
           left->st_mtim.tv_sec == right->st_mtim.tv_sec &&
           left->st_mtim.tv_nsec == right->st_mtim.tv_nsec;
}

static bool was_refused(const struct open_token *token, const struct stat *pin_file)
{
    for (const struct refusal *refusal = refusals; refusal; refusal = refusal->next)
        if (refusal->slot_id == PKCS11_get_slotid_from_slot(token->slot) &&
                strcmp(refusal->module_path, token->module_path) == 0 &&
                is_same_file(&refusal->pin_file, pin_file))
            return true;
    return false;
}

/* Without memory, the PIN may be tried once more. */
static void remember_refusal(const struct open_token *token, const struct stat *pin_file)
{
    struct refusal *refusal = calloc(1, sizeof(*refusal));

    if (!refusal)
        return;
    *refusal = (struct refusal){.module_path = strdup(token->module_path),
            .slot_id = PKCS11_get_slotid_from_slot(token->slot),
            .pin_file = *pin_file,
            .next = refusals};
    if (refusal->module_path)
        refusals = refusal;
    else
        free(refusal);
}

static int log_in(struct open_token *token, const struct token_place *place,
        const struct token_uri *uri, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *pin = BUF_MEM_new();
    struct stat pin_file;
    bool is_refused;

    if (!pin)
        return error_set_out_of_memory(error);
    if (!token_pin_read(place, uri, pin, &pin_file, error))
        return 0;
    if (was_refused(token, &pin_file))
        return error_set(error, ALIYUN_IOT_REASON_TOKEN,
                "the token refused its PIN before, so it is not tried again; correct the PIN in "
                "its file");
    if (PKCS11_login(token->slot, 0, pin->data) == 0)
        return 1;
    is_refused = is_about_pin(ERR_GET_REASON(ERR_peek_last_error()));
    if (is_refused)
        remember_refusal(token, &pin_file);
    return error_set(error, ALIYUN_IOT_REASON_TOKEN,
            is_refused ? "the token refuses the PIN of pin-source: %s"
                       : "the token cannot be logged in to: %s",
            reason());
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
    if (key && EVP_PKEY_is_a(key, "RSA")) {
        token->key = key;
        return key;
    }
    EVP_PKEY_free(key);
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            found ? "the key %.300s is no RSA key; use one" : "no private key fits %.300s",
            token->uri);
    return NULL;
}

static void lock_tokens(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, take_part_in_fork);
    pthread_mutex_lock(&busy);
}

static bool is_logged_in(const struct open_token *token)
{
    int logged_in = 0;

    return token->slot && PKCS11_is_logged_in(token->slot, 0, &logged_in) == 0 && logged_in;
}

static int open_and_log_in(struct open_token *token, const struct token_place *place,
        const struct token_uri *uri, struct aliyun_iot_error **error)
{
    FILES_CLEANUP int turn = token_take_turn(place, uri, error);

    return turn >= 0 && load_module(token, error) && find_slot(token, uri, error) &&
           (is_logged_in(token) || log_in(token, place, uri, error));
}

/* The token, with the process logged in. With the lock held. NULL with *error set. */
static struct open_token *open_token(const struct token_place *place, const struct token_uri *uri,
        struct aliyun_iot_error **error)
{
    const char *module_path = setting_or(place->module_path, token_uri_module_path(uri));
    struct open_token *token;

    if (!module_path) {
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the token's PKCS#11 module is not known: set module-path in section [%s]",
                place->section);
        return NULL;
    }
    token = find_open(module_path, place->uri);
    if (!token)
        token = add(module_path, place->uri, error);
    if (!token || is_logged_in(token) || open_and_log_in(token, place, uri, error))
        return token;
    return NULL;
}

EVP_PKEY *open_token_key(const struct token_place *place, struct aliyun_iot_error **error)
{
    CLEANUP(token_uri_free) struct token_uri *uri = token_uri_parse(place->uri, error);
    struct open_token *token;
    EVP_PKEY *key = NULL;

    if (!uri)
        return NULL;
    ERR_set_mark();
    lock_tokens();
    token = open_token(place, uri, error);
    if (token)
        key = token->key ? token->key : find_key(token, uri, error);
    if (key)
        EVP_PKEY_up_ref(key);
    pthread_mutex_unlock(&busy);
    ERR_pop_to_mark();
    return key;
}

int open_token_log_in(
        const struct token_place *place, struct token_slot *slot, struct aliyun_iot_error **error)
{
    CLEANUP(token_uri_free) struct token_uri *uri = NULL;
    const struct open_token *token;

    ERR_set_mark();
    lock_tokens();
    /* For each signature, so without looking at the URI if it can be. */
    token = place->module_path ? find_open(place->module_path, place->uri) : NULL;
    if (!token || !is_logged_in(token)) {
        uri = token_uri_parse(place->uri, error);
        token = uri ? open_token(place, uri, error) : NULL;
    }
    if (token)
        *slot = (struct token_slot){token->functions, PKCS11_get_slotid_from_slot(token->slot)};
    pthread_mutex_unlock(&busy);
    ERR_pop_to_mark();
    return token != NULL;
}

int open_token_take_turn(const struct token_place *place, struct aliyun_iot_error **error)
{
    CLEANUP(token_uri_free) struct token_uri *uri = token_uri_parse(place->uri, error);

    return uri ? token_take_turn(place, uri, error) : -1;
}
