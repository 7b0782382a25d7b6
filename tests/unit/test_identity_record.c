/* SPDX-License-Identifier: Apache-2.0 */
/* An identity that was written and read again is the same identity. */
#include "unit.h"

#include "base/identity_record.h"
#include "base/key_pair.h"
#include "signer_double.h"

static const char *const types[] = {"RSA", "EC", "ED25519", "ED448"};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static bool lacks_memory;

static struct aliyun_iot_identity *make_identity(EVP_PKEY *key, const char *serial_number)
{
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();

    assert_true(sk_X509_push(chain, pair_certificate(key, -60, 3600)));
    assert_true(sk_X509_push(chain, pair_certificate(key, -90, 9000)));
    return identity_new(chain, key, serial_number, "request", NULL);
}

static struct bytes bytes_of(const BUF_MEM *buffer)
{
    return (struct bytes){(const unsigned char *)buffer->data, buffer->length};
}

static void assert_same(
        const struct aliyun_iot_identity *left, const struct aliyun_iot_identity *right)
{
    size_t sizes[2];
    const unsigned char *bytes[2];

    assert_string_equal(aliyun_iot_identity_key_type(left), aliyun_iot_identity_key_type(right));
    assert_string_equal(
            aliyun_iot_identity_serial_number(left), aliyun_iot_identity_serial_number(right));
    assert_string_equal(
            aliyun_iot_identity_request_id(left), aliyun_iot_identity_request_id(right));
    assert_int_equal(identity_not_before(left), identity_not_before(right));
    assert_int_equal(identity_not_after(left), identity_not_after(right));
    assert_int_equal(identity_fetched(left), identity_fetched(right));
    assert_int_equal(aliyun_iot_identity_certificate_count(left),
            aliyun_iot_identity_certificate_count(right));
    for (size_t index = 0; index < aliyun_iot_identity_certificate_count(left); index++) {
        bytes[0] = aliyun_iot_identity_certificate(left, index, &sizes[0]);
        bytes[1] = aliyun_iot_identity_certificate(right, index, &sizes[1]);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    }
    bytes[0] = aliyun_iot_identity_key(left, &sizes[0]);
    bytes[1] = aliyun_iot_identity_key(right, &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
}

/* The parameters make a key that signs, and not only the DER. */
static void an_identity_of_any_key_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (size_t type = 0; type < TYPES; type++) {
        CLEANUP(EVP_PKEY_free) EVP_PKEY *key = pair_key(types[type]);
        CLEANUP(aliyun_iot_identity_free)
        struct aliyun_iot_identity *identity = make_identity(key, type ? "serial" : "");
        CLEANUP(BUF_MEM_free) BUF_MEM *record = BUF_MEM_new();
        CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *again = NULL;
        CLEANUP(EVP_PKEY_free) EVP_PKEY *read = NULL;
        CLEANUP(X509_free) X509 *leaf = NULL;

        assert_null(identity_record_write(identity, record));
        again = identity_record_read(bytes_of(record), &lacks_memory);
        assert_non_null(again);
        assert_same(identity, again);
        read = identity_key_pair(again, NULL);
        leaf = identity_leaf(again, NULL);
        assert_non_null(read);
        assert_int_equal(1, EVP_PKEY_eq(read, key));
        assert_int_equal(1, key_pair_check(leaf, read, NULL));
    }
}

static void a_record_that_lacks_its_end_or_has_more_is_refused(void **state)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = pair_key("EC");
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity = make_identity(key, "serial");
    CLEANUP(BUF_MEM_free) BUF_MEM *record = BUF_MEM_new();

    (void)state;
    assert_null(identity_record_write(identity, record));
    for (size_t size = 0; size < record->length; size++) {
        CLEANUP(BUF_MEM_free) BUF_MEM *copy = BUF_MEM_new();

        assert_true(buffer_append(copy, record->data, size));
        assert_null(identity_record_read(bytes_of(copy), &lacks_memory));
    }
    assert_true(buffer_append(record, "x", 1));
    assert_null(identity_record_read(bytes_of(record), &lacks_memory));
}

/* It is sealed, so that nobody can do it; but it must not read where nothing is. */
static void a_record_with_any_byte_changed_is_refused_or_read(void **state)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = pair_key("EC");
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity = make_identity(key, "serial");
    CLEANUP(BUF_MEM_free) BUF_MEM *record = BUF_MEM_new();
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};

    (void)state;
    assert_null(identity_record_write(identity, record));
    for (size_t index = 0; index < record->length; index++) {
        char before = record->data[index];

        for (size_t value = 0; value < sizeof(values); value++) {
            record->data[index] = (char)values[value];
            aliyun_iot_identity_free(identity_record_read(bytes_of(record), &lacks_memory));
        }
        record->data[index] = before;
    }
}

static void a_key_that_is_elsewhere_has_no_record(void **state)
{
    CLEANUP(EVP_PKEY_free) EVP_PKEY *key = pair_key("EC");
    struct signer_double signer = {.key = key};
    const struct key_signer key_signer = signer_double(&signer);
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *elsewhere = NULL;
    CLEANUP(BUF_MEM_free) BUF_MEM *record = BUF_MEM_new();

    (void)state;
    assert_true(sk_X509_push(chain, pair_certificate(key, -60, 3600)));
    elsewhere = identity_new_with_signer(chain, &key_signer, NULL, NULL, NULL);
    assert_non_null(elsewhere);
    assert_string_equal(identity_record_write(elsewhere, record), "its key is no data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_identity_of_any_key_is_read_as_it_was_written),
            cmocka_unit_test(a_record_that_lacks_its_end_or_has_more_is_refused),
            cmocka_unit_test(a_record_with_any_byte_changed_is_refused_or_read),
            cmocka_unit_test(a_key_that_is_elsewhere_has_no_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
