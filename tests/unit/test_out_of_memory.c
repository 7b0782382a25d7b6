/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation on the way from a URI to an identity fails once, in the library and in the
 * libraries under it: the outcome is an error or an identity, and the next try succeeds.
 */
#include "unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "background.h"
#include "cloud/json.h"
#include "http_double.h"
#include "identity.h"

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

static char settings_file[] = "/tmp/memory-test-XXXXXX";
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

static void await_quiet(void)
{
    while (background_count() > 0)
        usleep(100);
}

static void resolve_both(void)
{
    assert_true(resolve("aliyun-iot:product/one", NULL));
    assert_true(resolve("aliyun-iot:product/two", NULL));
    await_quiet();
}

/* Returns whether there was an allocation of that number to fail. */
static bool fail_allocation(long number)
{
    struct aliyun_iot_error *error = NULL;
    bool done, reached;

    atomic_store(&allocations, 0);
    atomic_store(&failing_one, number);
    done = resolve("aliyun-iot:product/one", &error);
    await_quiet();
    reached = atomic_load(&allocations) >= number;
    atomic_store(&failing_one, 0);
    assert_int_equal(done, error == NULL);
    if (error)
        assert_true(strlen(aliyun_iot_error_message(error)) > 0);
    aliyun_iot_error_free(error);
    return reached;
}

static void every_allocation_may_fail_once(void **state)
{
    long number = 1, before, lost = 0;

    (void)state;
    /* The first call makes what stays for the life of the process. */
    resolve_both();
    resolve_both();
    for (;; number++) {
        before = atomic_load(&live);
        if (!fail_allocation(number))
            break;
        resolve_both();
        lost += atomic_load(&live) > before;
    }
    print_message("%ld allocations failed; blocks were lost after %ld of them\n", number - 1, lost);
    assert_true(number > 100);
    /* A handful are OpenSSL's own, in its error queues and caches. */
    assert_true(lost < 10);
}

static void add_text(cJSON *object, const char *name, BIO *bio)
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)size);

    cJSON_AddStringToObject(object, name, text);
    free(text);
    BIO_free(bio);
}

static int make_answer(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *certificate_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    cJSON *answer = cJSON_CreateObject();
    cJSON *information = cJSON_AddObjectToObject(answer, "DeviceCertInfo");
    int file = mkstemp(settings_file);

    (void)state;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    PEM_write_bio_X509(certificate_text, certificate);
    PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL);
    cJSON_AddTrueToObject(answer, "Success");
    cJSON_AddNumberToObject(information, "Status", 2);
    add_text(information, "Certificate", certificate_text);
    add_text(information, "PrivateKey", key_text);
    answer_text = cJSON_PrintUnformatted(answer);
    cJSON_Delete(answer);
    X509_free(certificate);
    EVP_PKEY_free(key);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret", 1);
    return dprintf(file, "[quota]\nrate = 1000\n[cache]\nttl = 0\n") > 0 ? close(file) : -1;
}

static int free_answer(void **state)
{
    (void)state;
    free(answer_text);
    return unlink(settings_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail_once)};

    return cmocka_run_group_tests(tests, make_answer, free_answer);
}

#else

/* A sanitizer brings an allocator of its own. */
int main(void)
{
    return 77;
}

#endif
