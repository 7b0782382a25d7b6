/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that know engines but no store URIs (curl 7.88, mosquitto, nginx, psql): an ENGINE
 * of the id aliyun-iot that loads keys and certificates. It only calls the provider's store, and
 * returns the store's objects. They belong to the default library context, as engines do.
 *
 * A key id is one of
 *     aliyun-iot:[//]PRODUCT_KEY/DEVICE_NAME[?...]     a URI
 *     [//]PRODUCT_KEY/DEVICE_NAME[?...]                what psql and nginx leave of one
 *     PATH                                             of a PEM identity file: mosquitto insists on
 *                                                      a key file that exists
 * A URI is always opened with two slashes, so that the store never takes it for the name of a file.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#include "private/cleanup.h"

#define NAME "aliyun-iot"
#define SCHEME NAME ":"

static inline void text_free(char *text)
{
    OPENSSL_free(text);
}
DEFINE_CLEANUP(char *, text_free);
DEFINE_CLEANUP(OSSL_STORE_CTX *, OSSL_STORE_close);
DEFINE_CLEANUP(OSSL_STORE_INFO *, OSSL_STORE_INFO_free);

/* Failures of the engine itself. The provider raises all other errors. */
enum reason { REASON_OUT_OF_MEMORY = 1, REASON_NO_PROVIDER, REASON_CUT_URI, REASON_NO_OBJECT };

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static int error_library;

#define raise_error(reason, ...) ERR_raise_data(error_library, reason, __VA_ARGS__)

/*
 * Kept until libcrypto is cleaned up: the engine itself, and the provider if the engine loaded it.
 */
static ENGINE *_Atomic held_engine;
static OSSL_PROVIDER *_Atomic loaded_provider;

/* Whether the store knows the scheme. openssl.cnf may give the provider any name. */
static bool scheme_is_served(void)
{
    OSSL_STORE_LOADER *loader;

    ERR_set_mark();
    loader = OSSL_STORE_LOADER_fetch(NULL, NAME, NULL);
    ERR_pop_to_mark();
    OSSL_STORE_LOADER_free(loader);
    return loader != NULL;
}

/*
 * Loads the provider if openssl.cnf did not load it, and keeps the default provider. This is done
 * when the first key is asked for, because the engine may be bound while openssl.cnf is being read.
 */
static bool ensure_provider(void)
{
    OSSL_PROVIDER *provider, *none = NULL;

    if (scheme_is_served())
        return true;
    ERR_set_mark();
    provider = OSSL_PROVIDER_try_load(NULL, NAME, 1);
    ERR_pop_to_mark();
    if (!provider) {
        raise_error(REASON_NO_PROVIDER,
                "install " NAME ".so in OpenSSL's folder of modules (openssl version -m), or name "
                "it in openssl.cnf; openssl list -providers -provider " NAME " says what is wrong");
        return false;
    }
    if (!atomic_compare_exchange_strong(&loaded_provider, &none, provider))
        OSSL_PROVIDER_unload(provider); /* another thread was first */
    return true;
}

/* Whether a key id without the scheme is a path: it begins with / or ., or the file exists. */
static bool is_path(const char *key_id)
{
    int before = errno;
    bool found;

    if (strncmp(key_id, "//", 2) == 0)
        return false;
    if (key_id[0] == '/' || key_id[0] == '.')
        return true;
    found = access(key_id, F_OK) == 0;
    errno = before;
    return found;
}

/* The URI or path to open for a key id; NULL with an error raised when out of memory. */
static char *location_of(const char *key_id)
{
    const char *prefix = SCHEME "//";
    char *location;
    size_t size;

    if (strncasecmp(key_id, SCHEME, strlen(SCHEME)) == 0)
        key_id += strlen(SCHEME);
    else if (is_path(key_id))
        prefix = "";
    if (*prefix && strncmp(key_id, "//", 2) == 0)
        key_id += 2;
    size = strlen(prefix) + strlen(key_id) + 1;
    location = OPENSSL_malloc(size);
    if (!location) {
        raise_error(REASON_OUT_OF_MEMORY, "%s", key_id);
        return NULL;
    }
    OPENSSL_strlcpy(location, prefix, size);
    OPENSSL_strlcat(location, key_id, size);
    return location;
}

static const char *name_of_type(int type)
{
    switch (type) {
    case OSSL_STORE_INFO_PKEY:
        return "private key";
    case OSSL_STORE_INFO_PUBKEY:
        return "public key";
    default:
        return "certificate";
    }
}

static void raise_no_object(const char *location, int type, const char *cause)
{
    raise_error(REASON_NO_OBJECT, "%s: no %s could be read there%s%s", location, name_of_type(type),
            *cause ? ": " : "", cause);
}

/*
 * Replaces all errors since the mark by one: the provider's own error, if there is one. Some
 * programs show the oldest error of the queue, which is libcrypto's "unregistered scheme".
 */
static void explain(const char *location, int type)
{
    const char *data = "";
    int flags = 0;
    unsigned long code = ERR_peek_last_error_data(&data, &flags);
    char system_text[128];
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror_r(ERR_GET_REASON(code), system_text,
                                                          sizeof(system_text))
                                                : ERR_reason_error_string(code);
    CLEANUP(text_free) char *text = OPENSSL_strdup((flags & ERR_TXT_STRING) ? data : "");

    ERR_pop_to_mark();
    if (reason && strncmp(reason, "Aliyun IoT: ", strlen("Aliyun IoT: ")) == 0)
        ERR_raise_data(ERR_GET_LIB(code), ERR_GET_REASON(code), "%s", text ? text : "");
    else
        raise_no_object(location, type, reason ? reason : "");
}

/* The first object of that type, OSSL_STORE_INFO_, at a location; NULL with one error raised. */
static OSSL_STORE_INFO *find(
        const char *location, int type, const UI_METHOD *ui_method, void *ui_context)
{
    CLEANUP(OSSL_STORE_close) OSSL_STORE_CTX *store = NULL;

    ERR_set_mark();
    /* explain() shows this error if nothing else is raised, and not an older one of the queue. */
    raise_no_object(location, type, "");
    store = OSSL_STORE_open_ex(location, NULL, NULL, ui_method, ui_context, NULL, NULL, NULL);
    if (store && OSSL_STORE_expect(store, type)) {
        while (!OSSL_STORE_eof(store) && !OSSL_STORE_error(store)) {
            CLEANUP(OSSL_STORE_INFO_free) OSSL_STORE_INFO *info = OSSL_STORE_load(store);

            if (!info || OSSL_STORE_INFO_get_type(info) != type)
                continue;
            ERR_pop_to_mark();
            return take(info);
        }
    }
    explain(location, type);
    return NULL;
}

/* What find() finds for a key id; NULL with one error raised. */
static OSSL_STORE_INFO *load_object(
        const char *key_id, int type, const UI_METHOD *ui_method, void *ui_context)
{
    CLEANUP(text_free) char *location = NULL;
    OSSL_STORE_INFO *info = NULL;

    if (!key_id)
        key_id = "";
    /* curl takes the text after a colon in --cert as a password. */
    if (strcasecmp(key_id, NAME) == 0)
        raise_error(REASON_CUT_URI, "with a backslash before the colon, curl takes the whole");
    else if (ensure_provider() && (location = location_of(key_id)))
        info = find(location, type, ui_method, ui_context);
    /* Python reports errno as the cause of the failure. */
    if (!info)
        errno = 0;
    return info;
}

static EVP_PKEY *load_private_key(
        ENGINE *engine, const char *key_id, UI_METHOD *ui_method, void *ui_context)
{
    CLEANUP(OSSL_STORE_INFO_free)
    OSSL_STORE_INFO *info = load_object(key_id, OSSL_STORE_INFO_PKEY, ui_method, ui_context);

    (void)engine;
    return info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
}

/* A PEM identity file holds no public key by itself; the device's URI gives one. */
static EVP_PKEY *load_public_key(
        ENGINE *engine, const char *key_id, UI_METHOD *ui_method, void *ui_context)
{
    CLEANUP(OSSL_STORE_INFO_free)
    OSSL_STORE_INFO *info = load_object(key_id, OSSL_STORE_INFO_PUBKEY, ui_method, ui_context);

    (void)engine;
    return info ? OSSL_STORE_INFO_get1_PUBKEY(info) : NULL;
}

/*
 * curl uses the command LOAD_CERT_CTRL of libp11's engine: the program sets cert_id, the engine
 * sets the certificate, and the program frees it.
 */
struct load_certificate {
    const char *cert_id;
    X509 *cert;
};

/*
 * mosquitto sends the other two for --tls-engine-kpass-sha1, and gives up if an engine does not
 * know them. Our keys have no password.
 */
enum { COMMAND_LOAD_CERTIFICATE = ENGINE_CMD_BASE, COMMAND_SECRET_MODE, COMMAND_PIN };

static const ENGINE_CMD_DEFN commands[] = {
        {COMMAND_LOAD_CERTIFICATE, "LOAD_CERT_CTRL", "Load the certificate of a device",
                ENGINE_CMD_FLAG_INTERNAL},
        {COMMAND_SECRET_MODE, "SECRET_MODE", "Accepted and ignored: keys have no password",
                ENGINE_CMD_FLAG_NUMERIC},
        {COMMAND_PIN, "PIN", "Accepted and ignored: keys have no password", ENGINE_CMD_FLAG_STRING},
        {0, NULL, NULL, 0},
};

static int control(ENGINE *engine, int command, long number, void *argument, void (*callback)(void))
{
    struct load_certificate *request = argument;
    OSSL_STORE_INFO *info;

    (void)engine;
    (void)number;
    (void)callback;
    if (command == COMMAND_SECRET_MODE || command == COMMAND_PIN)
        return 1;
    if (command != COMMAND_LOAD_CERTIFICATE || !request || !request->cert_id)
        return 0;
    info = load_object(request->cert_id, OSSL_STORE_INFO_CERT, NULL, NULL);
    request->cert = info ? OSSL_STORE_INFO_get1_CERT(info) : NULL;
    OSSL_STORE_INFO_free(info);
    return request->cert != NULL;
}

static void release(void)
{
    OSSL_PROVIDER *provider = atomic_exchange(&loaded_provider, NULL);
    ENGINE *engine = atomic_exchange(&held_engine, NULL);

    if (provider)
        OSSL_PROVIDER_unload(provider);
    ENGINE_finish(engine);
}

/*
 * nginx gets the engine by its name and loads a key without initialising the engine, which
 * libcrypto refuses. So an engine that was asked for by name initialises itself, until libcrypto is
 * cleaned up. An engine that was loaded by its path does not: it may not be in libcrypto's list,
 * and it is not bound again while it exists.
 */
static bool hold(ENGINE *engine)
{
    ENGINE *none = NULL;

    if (!ENGINE_init(engine))
        return false;
    if (atomic_compare_exchange_strong(&held_engine, &none, engine))
        return OPENSSL_atexit(release);
    return ENGINE_finish(engine); /* two threads bind at once */
}

static void load_error_strings(void)
{
    static ERR_STRING_DATA reasons[] = {
            {ERR_PACK(0, 0, REASON_OUT_OF_MEMORY), "Aliyun IoT: out of memory"},
            {ERR_PACK(0, 0, REASON_NO_PROVIDER),
                    "Aliyun IoT: the engine cannot load the provider module aliyun-iot"},
            {ERR_PACK(0, 0, REASON_CUT_URI),
                    "Aliyun IoT: the URI was cut off at its colon, write " NAME
                    "\\:PRODUCT_KEY/DEVICE"},
            {ERR_PACK(0, 0, REASON_NO_OBJECT), "Aliyun IoT: the engine found nothing of that kind"},
            {0, NULL},
    };
    static ERR_STRING_DATA name[] = {{0, "Aliyun IoT engine"}, {0, NULL}};

    error_library = ERR_get_next_error_library();
    name[0].error = ERR_PACK(error_library, 0, 0);
    ERR_load_strings(error_library, name);
    ERR_load_strings(error_library, reasons);
}

static int set_up_engine(ENGINE *engine, const char *id)
{
    if (id && strcmp(id, NAME) != 0)
        return 0;
    return CRYPTO_THREAD_run_once(&once, load_error_strings) && ENGINE_set_id(engine, NAME) &&
           ENGINE_set_name(engine, "Alibaba Cloud IoT device certificates") &&
           ENGINE_set_flags(engine, ENGINE_FLAGS_NO_REGISTER_ALL) &&
           ENGINE_set_load_privkey_function(engine, load_private_key) &&
           ENGINE_set_load_pubkey_function(engine, load_public_key) &&
           ENGINE_set_cmd_defns(engine, commands) && ENGINE_set_ctrl_function(engine, control) &&
           (!id || hold(engine));
}

#pragma GCC visibility push(default)
IMPLEMENT_DYNAMIC_CHECK_FN()
IMPLEMENT_DYNAMIC_BIND_FN(set_up_engine)
#pragma GCC visibility pop
