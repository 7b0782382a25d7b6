/* SPDX-License-Identifier: Apache-2.0 */
/* The provider's store over a library that a test makes up. */
#include "signer_double.h"

#include "base/identity.h"

/* The module hides it. */
#include "../../provider/store.c"

static const struct functions functions = {
        .identity_certificate_count = aliyun_iot_identity_certificate_count,
        .identity_certificate = aliyun_iot_identity_certificate,
        .identity_key_type = aliyun_iot_identity_key_type,
        .identity_key = aliyun_iot_identity_key,
        .identity_key_parameters = aliyun_iot_identity_key_parameters,
};

static EVP_PKEY *key;
static STACK_OF(X509) *chain;
static struct aliyun_iot_identity *identity; /* what a URI resolves to */

int library_resolve(const struct provider *provider, const char *uri, struct resolved *resolved)
{
    (void)provider;
    (void)uri;
    *resolved = (struct resolved){&functions, identity_reference(identity), ALIYUN_IOT_OBJECT_ALL};
    return 1;
}

void resolved_clear(struct resolved *resolved)
{
    aliyun_iot_identity_free(resolved->identity);
}

static const char *raised; /* the format of the last error */

void provider_raise_at(const struct provider *provider, const char *file, int line,
        const char *function, enum aliyun_iot_reason reason, const char *format, ...)
{
    (void)provider;
    (void)file;
    (void)line;
    (void)function;
    (void)reason;
    raised = format;
}

/* libcrypto's part. */
static int count_objects(const OSSL_PARAM *object, void *count)
{
    (void)object;
    ++*(int *)count;
    return 1;
}

static bool program_takes_opaque_keys;
static int opaque_keys; /* that exist */

bool opaque_keys_enable(const struct provider *provider, const char *uri)
{
    (void)provider;
    assert_string_equal("aliyun-iot:product/device", uri);
    return true;
}

struct opaque_key *opaque_key_new(
        const struct provider *provider, const struct resolved *resolved, const char *uri)
{
    (void)provider;
    (void)uri;
    assert_ptr_equal(identity, resolved->identity);
    opaque_keys++;
    return calloc(1, sizeof(struct opaque_key));
}

void opaque_key_free(struct opaque_key *opaque_key)
{
    opaque_keys -= opaque_key != NULL;
    free(opaque_key);
}

/* libcrypto's part, and that of our key management. */
static int take_opaque_key(const OSSL_PARAM *object, void *taken)
{
    const OSSL_PARAM *reference = OSSL_PARAM_locate_const(object, OSSL_OBJECT_PARAM_REFERENCE);

    if (!reference)
        return 1; /* a certificate */
    if (!program_takes_opaque_keys)
        return 0;
    memcpy(taken, reference->data, reference->data_size);
    memset(reference->data, 0, reference->data_size);
    return 1;
}

static void a_key_that_is_not_data_is_given_as_an_opaque_one(void **state)
{
    struct signer_double signer = {.key = key};
    const struct key_signer key_signer = signer_double(&signer);
    struct opaque_key *taken = NULL;
    void *loader;

    (void)state;
    program_takes_opaque_keys = true;
    identity = identity_new_with_signer(chain, &key_signer, NULL, NULL, NULL);
    loader = store_open(NULL, "aliyun-iot:product/device");
    while (!store_eof(loader))
        assert_int_equal(1, store_load(loader, take_opaque_key, &taken, NULL, NULL));
    assert_int_equal(1, store_close(loader));
    assert_non_null(taken);
    assert_int_equal(1, opaque_keys);
    opaque_key_free(taken);
    aliyun_iot_identity_free(identity);
    assert_int_equal(signer.freed, 1);
}

static void nothing_of_a_key_that_is_not_data_is_exported(void **state)
{
    struct signer_double signer = {.key = key};
    const struct key_signer key_signer = signer_double(&signer);
    int exports = 0;
    void *loader;

    (void)state;
    identity = identity_new_with_signer(chain, &key_signer, NULL, NULL, NULL);
    loader = store_open(NULL, "aliyun-iot:product/device");
    assert_int_equal(
            0, store_export_object(loader, &identity, sizeof(identity), count_objects, &exports));
    assert_int_equal(0, exports);
    store_close(loader);
    aliyun_iot_identity_free(identity);
}

static void an_opaque_key_that_the_program_excludes_is_freed_and_an_error(void **state)
{
    struct signer_double signer = {.key = key};
    const struct key_signer key_signer = signer_double(&signer);
    struct opaque_key *taken = NULL;
    void *loader;

    (void)state;
    program_takes_opaque_keys = false;
    raised = NULL;
    identity = identity_new_with_signer(chain, &key_signer, NULL, NULL, NULL);
    loader = store_open(NULL, "aliyun-iot:product/device");
    assert_int_equal(1, store_load(loader, take_opaque_key, &taken, NULL, NULL));
    assert_int_equal(0, store_load(loader, take_opaque_key, &taken, NULL, NULL));
    assert_non_null(strstr(raised, "excludes the provider"));
    assert_int_equal(0, opaque_keys);
    /* Programs that see the end do not ask for errors. */
    assert_int_equal(0, store_eof(loader));
    assert_int_equal(0, store_load(loader, take_opaque_key, &taken, NULL, NULL));
    assert_int_equal(1, store_eof(loader));
    store_close(loader);
    aliyun_iot_identity_free(identity);
}

static void a_loader_keeps_its_identity(void **state)
{
    int objects = 0;
    void *loader;

    (void)state;
    identity = identity_new(chain, key, NULL, NULL, NULL);
    loader = store_open(NULL, "aliyun-iot:product/device");
    aliyun_iot_identity_free(identity);
    while (!store_eof(loader))
        assert_int_equal(1, store_load(loader, count_objects, &objects, NULL, NULL));
    assert_int_equal(objects, 2);
    store_close(loader);
}

/* Opens a store, and sets one parameter. Returns whether it took. */
static int search(void **loader, OSSL_PARAM parameter)
{
    OSSL_PARAM parameters[] = {parameter, OSSL_PARAM_construct_end()};

    *loader = store_open(NULL, "aliyun-iot:product/device");
    return store_set_ctx_params(*loader, parameters);
}

static int count_all(void *loader)
{
    int objects = 0;

    while (!store_eof(loader))
        assert_int_equal(1, store_load(loader, count_objects, &objects, NULL, NULL));
    store_close(loader);
    return objects;
}

static OSSL_PARAM subject_parameter(const X509_NAME *name, unsigned char **der)
{
    int size = i2d_X509_NAME(name, der);

    return OSSL_PARAM_construct_octet_string(OSSL_STORE_PARAM_SUBJECT, *der, (size_t)size);
}

static void a_search_by_subject_gives_the_certificates_of_that_name(void **state)
{
    X509_NAME *other = X509_NAME_new();
    unsigned char *name = NULL, *other_name = NULL;
    char bytes[] = "bytes";
    void *loader;

    (void)state;
    identity = identity_new(chain, key, NULL, NULL, NULL);
    assert_true(search(
            &loader, subject_parameter(X509_get_subject_name(sk_X509_value(chain, 0)), &name)));
    assert_int_equal(1, count_all(loader));
    X509_NAME_add_entry_by_txt(other, "CN", MBSTRING_ASC, (unsigned char *)bytes, -1, -1, 0);
    assert_true(search(&loader, subject_parameter(other, &other_name)));
    assert_int_equal(0, count_all(loader));
    assert_false(
            search(&loader, OSSL_PARAM_construct_octet_string(OSSL_STORE_PARAM_SUBJECT, bytes, 5)));
    store_close(loader);
    X509_NAME_free(other);
    OPENSSL_free(name);
    OPENSSL_free(other_name);
    aliyun_iot_identity_free(identity);
}

static void a_search_by_other_criteria_is_refused_and_not_ignored(void **state)
{
    char bytes[] = "bytes";
    void *loader;

    (void)state;
    identity = identity_new(chain, key, NULL, NULL, NULL);
    raised = NULL;
    assert_int_equal(0,
            search(&loader, OSSL_PARAM_construct_octet_string(OSSL_STORE_PARAM_ISSUER, bytes, 5)));
    assert_non_null(strstr(raised, "not by"));
    store_close(loader);
    assert_int_equal(0, search(&loader, OSSL_PARAM_construct_octet_string(
                                                OSSL_STORE_PARAM_FINGERPRINT, bytes, 5)));
    store_close(loader);
    aliyun_iot_identity_free(identity);
}

/* libcrypto's part. */
static int take_public_key(const OSSL_PARAM *object, void *public_key)
{
    const OSSL_PARAM *data = OSSL_PARAM_locate_const(object, OSSL_OBJECT_PARAM_DATA);
    const unsigned char *der = data->data;

    assert_null(*(EVP_PKEY **)public_key);
    *(EVP_PKEY **)public_key = d2i_PUBKEY(NULL, &der, (long)data->data_size);
    return 1;
}

static void a_public_key_is_given_where_the_private_key_is_no_data(void **state)
{
    struct signer_double signer = {.key = key};
    const struct key_signer key_signer = signer_double(&signer);
    int expect = OSSL_STORE_INFO_PUBKEY;
    EVP_PKEY *public_key = NULL;
    void *loader;

    (void)state;
    identity = identity_new_with_signer(chain, &key_signer, NULL, NULL, NULL);
    assert_int_equal(
            1, search(&loader, OSSL_PARAM_construct_int(OSSL_STORE_PARAM_EXPECT, &expect)));
    while (!store_eof(loader))
        assert_int_equal(1, store_load(loader, take_public_key, &public_key, NULL, NULL));
    assert_int_equal(1, EVP_PKEY_eq(key, public_key));
    EVP_PKEY_free(public_key);
    store_close(loader);
    aliyun_iot_identity_free(identity);
}

static int make(void **state)
{
    (void)state;
    key = pair_key("EC");
    chain = sk_X509_new_null();
    return sk_X509_push(chain, pair_certificate(key, -60, 3600)) ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    certificates_free(chain);
    EVP_PKEY_free(key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_key_that_is_not_data_is_given_as_an_opaque_one),
            cmocka_unit_test(nothing_of_a_key_that_is_not_data_is_exported),
            cmocka_unit_test(an_opaque_key_that_the_program_excludes_is_freed_and_an_error),
            cmocka_unit_test(a_loader_keeps_its_identity),
            cmocka_unit_test(a_search_by_subject_gives_the_certificates_of_that_name),
            cmocka_unit_test(a_search_by_other_criteria_is_refused_and_not_ignored),
            cmocka_unit_test(a_public_key_is_given_where_the_private_key_is_no_data),
    };

    return cmocka_run_group_tests(tests, make, destroy);
}
