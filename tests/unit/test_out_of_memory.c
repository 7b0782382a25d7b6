/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation on the way from a URI to an identity or to a signature fails once, in the
 * library and in the libraries under it: the outcome is an error or what was asked, and the next
 * try succeeds.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "agent_double.h"
#include "answer.h"
#include "base/identity.h"
#include "base/process.h"
#include "folder.h"
#include "http_double.h"
#include "private/functions.h"
#include "registry.h"
#include "vault/files.h"
#include "vault/keys.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifndef SANITIZED

/* glibc's own names of what is replaced here. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

static atomic_long allocations, failing_one, live;

static bool fails(void)
{
    if (atomic_fetch_add(&allocations, 1) + 1 != atomic_load(&failing_one))
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(count, size));
}

__attribute__((visibility("default"))) void *realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    return block ? __libc_realloc(block, size) : counted(__libc_realloc(NULL, size));
}

__attribute__((visibility("default"))) void free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    __libc_free(block);
}

static char embedded_settings[] = "/tmp/memory-test-XXXXXX";
static char agent_settings[] = "/tmp/memory-test-XXXXXX";
static char vault_keys[] = "/tmp/memory-test-XXXXXX";
static char vault_folder[64], key_source[64];
static const char *settings_file = embedded_settings; /* of the test that runs */
static struct agent_double agent_double;
static char *answer_text;

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    (void)client;
    (void)request;
    return http_answer_with(answer, answer_text, error);
}

/* What a thread was given a moment ago it is given again: so two devices take turns. */
static bool resolve(const char *uri, struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity = NULL;
    bool done = aliyun_iot_identity_resolve(settings_file, uri, &identity, NULL, error);

    assert_int_equal(done, identity != NULL);
    aliyun_iot_identity_free(identity);
    return done;
}

static void resolve_both(void)
{
    assert_true(resolve("aliyun-iot:product/one", NULL));
    assert_true(resolve("aliyun-iot:product/two", NULL));
    process_await_threads();
}

static bool resolve_one(struct aliyun_iot_error **error)
{
    return resolve("aliyun-iot:product/one", error);
}

static bool sign(struct aliyun_iot_error **error)
{
    struct aliyun_iot_identity *identity = NULL;
    unsigned char signature[128];
    size_t size = sizeof(signature);
    bool done = aliyun_iot_identity_resolve(
                        settings_file, "aliyun-iot:product/one", &identity, NULL, error) &&
                aliyun_iot_identity_sign(identity, KEY_SCHEME_ECDSA_SHA256,
                        (const unsigned char *)"message", 7, signature, &size, error);

    aliyun_iot_identity_free(identity);
    assert_true(!done || (size == 3 && memcmp(signature, "\1\2\3", 3) == 0));
    return done;
}

static bool reload(struct aliyun_iot_error **error)
{
    return registry_reload(settings_file, error) == 1;
}

/* Returns whether there was an allocation of that number to fail. */
static bool fail_allocation(bool (*act)(struct aliyun_iot_error **error), long number)
{
    struct aliyun_iot_error *error = NULL;
    bool done, reached;

    atomic_store(&allocations, 0);
    atomic_store(&failing_one, number);
    done = act(&error);
    process_await_threads();
    reached = atomic_load(&allocations) >= number;
    atomic_store(&failing_one, 0);
    assert_int_equal(done, error == NULL);
    if (error)
        assert_true(strlen(aliyun_iot_error_message(error)) > 0);
    aliyun_iot_error_free(error);
    return reached;
}

static void fail_every_allocation(
        bool (*act)(struct aliyun_iot_error **error), long first, long least)
{
    long number = first, before, lost = 0;

    /* The first call makes what stays for the life of the process. */
    resolve_both();
    resolve_both();
    for (;; number++) {
        before = atomic_load(&live);
        if (!fail_allocation(act, number))
            break;
        resolve_both();
        lost += atomic_load(&live) > before;
    }
    print_message(
            "%ld allocations failed; blocks were lost after %ld of them\n", number - first, lost);
    assert_true(number - first > least);
    /* A handful are OpenSSL's own, in its error queues and caches. */
    assert_true(lost < 10);
}

static void every_allocation_of_a_fetch_may_fail_once(void **state)
{
    (void)state;
    fail_every_allocation(resolve_one, 1, 100);
}

static long allocations_of_settings(void)
{
    struct settings *settings;
    long count;

    atomic_store(&allocations, 0);
    settings = settings_load(settings_file, NULL);
    count = atomic_load(&allocations);
    settings_free(settings);
    return count;
}

/* Once the settings are read: libini_config itself crashes without memory. */
static void every_allocation_of_a_reload_may_fail_once(void **state)
{
    /* The resolver is allocated before. */
    long first = 1 + allocations_of_settings() + 1;

    (void)state;
    fail_every_allocation(reload, first, 3);
}

static void every_allocation_of_an_agents_client_may_fail_once(void **state)
{
    (void)state;
    settings_file = agent_settings;
    fail_every_allocation(sign, 1, 100);
    settings_file = embedded_settings;
}

/* In a settings file of its own. */
static void use_vault(const char *name, const char *more)
{
    static char path[80];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.conf", vault_keys, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[quota]\nrate = 1000\n[cache]\nttl = 0\n[vault]\npath = %s\nkey = file:%s/key\n%s\n",
            vault_folder, vault_keys, more);
    assert_int_equal(0, fclose(file));
    settings_file = path;
}

static void no_entry_is_lost_by_any_allocation_that_fails(void **state)
{
    int folder;

    (void)state;
    use_vault("read", "ttl = 24h");
    fail_every_allocation(resolve_one, 1, 30);
    settings_file = embedded_settings;
    /* Some failures end in a call, and none in an entry that is set aside. */
    assert_null(files_open(vault_folder, &folder));
    assert_int_equal(files_count_set_aside(folder), 0);
    files_close(&folder);
}

static void every_allocation_may_fail_while_an_identity_is_sealed(void **state)
{
    (void)state;
    use_vault("write", "ttl = 0s\nmax-stale = 0s");
    fail_every_allocation(resolve_one, 1, 100);
    settings_file = embedded_settings;
}

static int make_vault(void)
{
    const struct key_source source = {key_source, NULL, NULL};
    char path[sizeof(vault_keys) + 8];
    int file, folder;

    if (!mkdtemp(vault_keys))
        return -1;
    snprintf(path, sizeof(path), "%s/key", vault_keys);
    snprintf(key_source, sizeof(key_source), "file:%s", path);
    snprintf(vault_folder, sizeof(vault_folder), "%s/vault", vault_keys);
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (write(file, "0123456789abcdef0123456789abcdef", 32) != 32 || close(file) != 0 ||
            files_create(vault_folder, &folder))
        return -1;
    if (!vault_keys_create(folder, vault_folder, &source, NULL))
        return -1;
    files_close(&folder);
    return 0;
}

static int make_settings(void **state)
{
    int file = mkstemp(embedded_settings), agents_file = mkstemp(agent_settings);

    (void)state;
    agent_double_start(&agent_double);
    answer_text = answer_of_device("EC");
    answer_set_access_key();
    if (dprintf(file, "[quota]\nrate = 1000\n[cache]\nttl = 0\n") < 0 ||
            dprintf(agents_file, "[agent]\nsocket = %s\n[cache]\nttl = 0\n", agent_double.path) < 0)
        return -1;
    return close(file) | close(agents_file) | make_vault();
}

static int remove_settings(void **state)
{
    (void)state;
    agent_double_stop(&agent_double);
    free(answer_text);
    return unlink(embedded_settings) | unlink(agent_settings) | folder_remove(vault_keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_allocation_of_a_fetch_may_fail_once),
            cmocka_unit_test(every_allocation_of_a_reload_may_fail_once),
            cmocka_unit_test(every_allocation_of_an_agents_client_may_fail_once),
            cmocka_unit_test(no_entry_is_lost_by_any_allocation_that_fails),
            cmocka_unit_test(every_allocation_may_fail_while_an_identity_is_sealed),
    };

    return cmocka_run_group_tests(tests, make_settings, remove_settings);
}

#else

/* A sanitizer brings an allocator of its own. */
int main(void)
{
    return 77;
}

#endif
