/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed bytes: only what the key sealed is unsealed. */
#include "unit.h"

#include <cjson/cJSON.h>

#include "base/identity_record.h"
#include "base/key_pair.h"
#include "base/read_file.h"
#include "vault/entry.h"
#include "vault/sealing.h"

static struct sealing_key key;

static struct bytes bytes_of(const void *bytes, size_t size)
{
    return (struct bytes){bytes, size};
}

static struct bytes content_of(const BUF_MEM *buffer)
{
    return bytes_of(buffer->data, buffer->length);
}

static BUF_MEM *seal_text(const struct sealing_key *with, struct bytes names, const char *text)
{
    BUF_MEM *sealed = BUF_MEM_new();

    assert_int_equal(1, seal(with, names, bytes_of(text, strlen(text)), sealed, NULL));
    return sealed;
}

/* 1: unsealed, and then *content is it; 0: refused. */
static int try_unseal(const struct sealing_key *with, struct bytes bytes, BUF_MEM *content)
{
    struct sealed sealed;

    return sealed_parse(bytes, &sealed) ? unseal(with, &sealed, content, NULL) : 0;
}

static void what_was_sealed_is_unsealed(void **state)
{
    static const char *const texts[] = {"", "x", "some text that is longer than a block"};

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        CLEANUP(BUF_MEM_free) BUF_MEM *bytes = seal_text(&key, bytes_of("a\0b", 4), texts[index]);
        CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
        struct sealed sealed;

        assert_true(sealed_parse(content_of(bytes), &sealed));
        assert_int_equal(sealed.names.left, 4);
        assert_memory_equal(sealed.names.at, "a\0b", 4);
        assert_memory_equal(sealed.id, key.id, SEALING_ID_SIZE);
        assert_int_equal(1, unseal(&key, &sealed, content, NULL));
        assert_int_equal(content->length, strlen(texts[index]));
        assert_memory_equal(content->data, texts[index], content->length);
        assert_null(memmem(bytes->data, bytes->length, key.bytes, 8));
    }
}

static void each_time_another_nonce_is_used(void **state)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *one = seal_text(&key, bytes_of("a", 2), "text");
    CLEANUP(BUF_MEM_free) BUF_MEM *two = seal_text(&key, bytes_of("a", 2), "text");

    (void)state;
    assert_int_equal(one->length, two->length);
    assert_memory_not_equal(one->data + 25, two->data + 25, 12);
    assert_memory_not_equal(one->data + 41, two->data + 41, 4);
}

static void a_single_bit_that_changed_is_noticed_wherever_it_is(void **state)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = seal_text(&key, bytes_of("p\0d", 4), "secret text");

    (void)state;
    for (size_t bit = 0; bit < 8 * bytes->length; bit++) {
        CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();

        bytes->data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(0, try_unseal(&key, content_of(bytes), content));
        assert_int_equal(content->length, 0);
        bytes->data[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void bytes_that_lack_their_end_or_have_more_are_refused(void **state)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = seal_text(&key, bytes_of("p\0d", 4), "secret text");

    (void)state;
    for (size_t size = 0; size < bytes->length; size++) {
        CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
        /* A copy of its own, so that a read past its end is seen. */
        CLEANUP(BUF_MEM_free) BUF_MEM *copy = BUF_MEM_new();

        assert_true(buffer_append(copy, bytes->data, size));
        assert_int_equal(0, try_unseal(&key, content_of(copy), content));
    }
    assert_true(buffer_append(bytes, "x", 1));
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
    assert_int_equal(0, try_unseal(&key, content_of(bytes), content));
}

static void another_key_unseals_nothing(void **state)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = seal_text(&key, bytes_of("a", 2), "text");
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
    struct sealing_key other = {.bytes = {1}};

    (void)state;
    assert_int_equal(1, sealing_key_identify(&other, NULL));
    assert_memory_not_equal(other.id, key.id, SEALING_ID_SIZE);
    assert_int_equal(0, try_unseal(&other, content_of(bytes), content));
    /* Not even if it passes for the right one. */
    memcpy(other.id, key.id, SEALING_ID_SIZE);
    assert_int_equal(0, try_unseal(&other, content_of(bytes), content));
}

static BUF_MEM *from_hexadecimal(const cJSON *text)
{
    BUF_MEM *buffer = BUF_MEM_new();
    long size;
    unsigned char *bytes = OPENSSL_hexstr2buf(cJSON_GetStringValue(text), &size);

    assert_non_null(bytes);
    assert_true(buffer_append(buffer, bytes, (size_t)size));
    OPENSSL_free(bytes);
    return buffer;
}

static void check_record(struct bytes record)
{
    bool lacks_memory;
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity = identity_record_read(record, &lacks_memory);
    CLEANUP(X509_free) X509 *leaf = identity ? identity_leaf(identity, NULL) : NULL;
    CLEANUP(EVP_PKEY_free) EVP_PKEY *pair = identity ? identity_key_pair(identity, NULL) : NULL;

    assert_non_null(leaf);
    assert_non_null(pair);
    assert_int_equal(1, key_pair_check(leaf, pair, NULL));
    assert_string_equal(aliyun_iot_identity_serial_number(identity), "4711");
    assert_int_equal(identity_fetched(identity), 1767225600);
}

static void check_vector(const cJSON *vector)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = from_hexadecimal(cJSON_GetObjectItem(vector, "key"));
    CLEANUP(BUF_MEM_free) BUF_MEM *id = from_hexadecimal(cJSON_GetObjectItem(vector, "key_id"));
    CLEANUP(BUF_MEM_free) BUF_MEM *file = from_hexadecimal(cJSON_GetObjectItem(vector, "file"));
    CLEANUP(BUF_MEM_free) BUF_MEM *record = from_hexadecimal(cJSON_GetObjectItem(vector, "record"));
    CLEANUP(BUF_MEM_free) BUF_MEM *content = BUF_MEM_new();
    struct sealing_key with;
    struct entry_names names;
    struct sealed sealed;
    char name[ENTRY_FILE_NAME_SIZE];
    const char *members[] = {"account", "region", "instance_id", "product_key", "device_name"};

    assert_int_equal(bytes->length, SEALING_KEY_SIZE);
    memcpy(with.bytes, bytes->data, SEALING_KEY_SIZE);
    assert_int_equal(1, sealing_key_identify(&with, NULL));
    assert_memory_equal(with.id, id->data, SEALING_ID_SIZE);
    assert_true(sealed_parse(content_of(file), &sealed));
    assert_true(entry_names_read(sealed.names, &names));
    for (size_t index = 0; index < 5; index++)
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(vector, members[index])),
                ((const char *const *)&names)[index]);
    assert_int_equal(1, entry_file_name(sealed.names, name, NULL));
    assert_string_equal(name, cJSON_GetStringValue(cJSON_GetObjectItem(vector, "file_name")));
    assert_int_equal(1, unseal(&with, &sealed, content, NULL));
    assert_int_equal(content->length, record->length);
    assert_memory_equal(content->data, record->data, record->length);
    check_record(content_of(content));
}

/* Another program made them: tests/vault_format.py. */
static void files_of_the_test_vectors_are_read(void **state)
{
    CLEANUP(BUF_MEM_free)
    BUF_MEM *text =
            read_file(getenv("VAULT_VECTORS"), 1024 * 1024, ALIYUN_IOT_REASON_INTERNAL, NULL);
    cJSON *vectors = text ? cJSON_Parse(text->data) : NULL;
    const cJSON *vector;
    int count = 0;

    (void)state;
    assert_non_null(vectors);
    cJSON_ArrayForEach(vector, vectors)
    {
        check_vector(vector);
        count++;
    }
    assert_true(count >= 3);
    cJSON_Delete(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_was_sealed_is_unsealed),
            cmocka_unit_test(each_time_another_nonce_is_used),
            cmocka_unit_test(a_single_bit_that_changed_is_noticed_wherever_it_is),
            cmocka_unit_test(bytes_that_lack_their_end_or_have_more_are_refused),
            cmocka_unit_test(another_key_unseals_nothing),
            cmocka_unit_test(files_of_the_test_vectors_are_read),
    };

    return sealing_key_identify(&key, NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
