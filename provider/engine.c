/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that know engines but no store URIs (curl 7.88, mosquitto, nginx, psql): an ENGINE
 * of the id aliyun-iot that loads keys and certificates. It is a door to the provider's store and
 * no more: what it hands out are the objects that the store makes, in the default library context,
 * where engines live.
 *
 * A key id is one of
 *     aliyun-iot:[//]PRODUCT_KEY/DEVICE_NAME[?...]     a URI
 *     [//]PRODUCT_KEY/DEVICE_NAME[?...]                what psql and nginx leave of one
 *     PATH                                             of a PEM identity file: mosquitto insists on
 *                                                      a key file that exists
 * A URI is always opened in the form with two slashes, which no file in the current folder shadows.
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

#include "../fetch/cleanup.h"

#define NAME "aliyun-iot"
#define SCHEME NAME ":"

static inline void text_free(char *text)
{
    OPENSSL_free(text);
}
DEFINE_CLEANUP(char *, text_free);
DEFINE_CLEANUP(OSSL_STORE_CTX *, OSSL_STORE_close);
DEFINE_CLEANUP(OSSL_STORE_INFO *, OSSL_STORE_INFO_free);

/* What goes wrong before the provider is there to say so; the rest is on the queue already. */
enum reason { REASON_OUT_OF_MEMORY = 1, REASON_NO_PROVIDER, REASON_CUT_URI, REASON_NO_OBJECT };

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static int error_library;

#define raise(reason, ...) ERR_raise_data(error_library, reason, __VA_ARGS__)

/* Kept until libcrypto ends: the engine itself, and the provider if it was loaded here. */
static ENGINE *_Atomic held_engine;
static OSSL_PROVIDER *_Atomic loaded_provider;

/* Whether the store knows the scheme, by whatever name openssl.cnf gave the provider. */
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
 * Loads the provider if openssl.cnf did not, keeping the default one that comes by itself. Not
 * earlier than the first key is asked for: an engine may be bound while openssl.cnf is being read.
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
        raise(REASON_NO_PROVIDER,
                "install " NAME ".so in OpenSSL's folder of modules (openssl version -m), or name "
                "it in openssl.cnf; openssl list -providers -provider " NAME " says what is wrong");
        return false;
    }
    if (!atomic_compare_exchange_strong(&loaded_provider, &none, provider))
        OSSL_PROVIDER_unload(provider); /* another thread was first */
    return true;
}

/* Whether a key id that is no URI is a path: what can be nothing else, or a file that exists. */
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

/* The URI or path to open for a key id; NULL: out of memory, raised. */
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
        raise(REASON_OUT_OF_MEMORY, "%s", key_id);
        return NULL;
    }
    OPENSSL_strlcpy(location, prefix, size);
    OPENSSL_strlcat(location, key_id, size);
    return location;
}

static void raise_no_object(const char *location, int type, const char *cause)
{
    raise(REASON_NO_OBJECT, "%s: no %s could be read there%s%s", location,
            type == OSSL_STORE_INFO_PKEY ? "private key" : "certificate", *cause ? ": " : "",
            cause);
}

/*
 * Leaves one error instead of all since the mark: the provider's own if there is one, since some
 * programs show the first of the queue, where libcrypto says that it knows no such scheme.
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
    /* The last word if nothing else is said: what lay on the queue before is not about this. */
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
static OSSL_STORE_INFO *load(
        const char *key_id, int type, const UI_METHOD *ui_method, void *ui_context)
{
    CLEANUP(text_free) char *location = NULL;
    OSSL_STORE_INFO *info = NULL;

    if (!key_id)
        key_id = "";
    /* curl takes what comes after a colon in --cert for a password. */
    if (strcasecmp(key_id, NAME) == 0)
        raise(REASON_CUT_URI, "with a backslash before the colon, curl takes the whole");
    else if (ensure_provider() && (location = location_of(key_id)))
        info = find(location, type, ui_method, ui_context);
    /* Python takes what is left there for the cause of a failure. */
    if (!info)
        errno = 0;
    return info;
}

static EVP_PKEY *load_private_key(
        ENGINE *engine, const char *key_id, UI_METHOD *ui_method, void *ui_context)
{
    CLEANUP(OSSL_STORE_INFO_free)
    OSSL_STORE_INFO *info = load(key_id, OSSL_STORE_INFO_PKEY, ui_method, ui_context);

    (void)engine;
    return info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
}

/*
 * LOAD_CERT_CTRL is curl's, taken over from libp11's engine: the program gives cert_id, the engine
 * a certificate, which is the program's to free.
 */
struct load_certificate {
    const char *cert_id;
    X509 *cert;
};

enum { COMMAND_LOAD_CERTIFICATE = ENGINE_CMD_BASE };

static const ENGINE_CMD_DEFN commands[] = {
        {COMMAND_LOAD_CERTIFICATE, "LOAD_CERT_CTRL", "Load the certificate of a device",
                ENGINE_CMD_FLAG_INTERNAL},
        {0, NULL, NULL, 0},
};

static int control(ENGINE *engine, int command, long number, void *argument, void (*callback)(void))
{
    struct load_certificate *request = argument;
    OSSL_STORE_INFO *info;

    (void)engine;
    (void)number;
    (void)callback;
    if (command != COMMAND_LOAD_CERTIFICATE || !request || !request->cert_id)
        return 0;
    info = load(request->cert_id, OSSL_STORE_INFO_CERT, NULL, NULL);
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
 * nginx loads keys from an engine that it has asked for by name and not initialised, which
 * libcrypto refuses. So the engine initialises itself then, until libcrypto ends. Not where it is
 * loaded by its path: it may be on none of libcrypto's lists, and is bound no second time while it
 * lives.
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

static int bind(ENGINE *engine, const char *id)
{
    if (id && strcmp(id, NAME) != 0)
        return 0;
    return CRYPTO_THREAD_run_once(&once, load_error_strings) && ENGINE_set_id(engine, NAME) &&
           ENGINE_set_name(engine, "Alibaba Cloud IoT device certificates") &&
           ENGINE_set_flags(engine, ENGINE_FLAGS_NO_REGISTER_ALL) &&
           ENGINE_set_load_privkey_function(engine, load_private_key) &&
           ENGINE_set_cmd_defns(engine, commands) && ENGINE_set_ctrl_function(engine, control) &&
           (!id || hold(engine));
}

#pragma GCC visibility push(default)
IMPLEMENT_DYNAMIC_CHECK_FN()
IMPLEMENT_DYNAMIC_BIND_FN(bind)
#pragma GCC visibility pop
