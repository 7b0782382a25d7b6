/* SPDX-License-Identifier: Apache-2.0 */
#include "base/identity_record.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/identity_parts.h"

/*
 * The parameters that make a key, and their numbers in a record. What else OpenSSL tells of a key
 * follows from these. No identity has an RSA key of more than two primes: see key_pair.c.
 */
static const struct {
    const char *name;
    unsigned type;
} parameters[] = {
        {OSSL_PKEY_PARAM_RSA_N, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_E, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_D, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, OSSL_PARAM_UNSIGNED_INTEGER},
        {OSSL_PKEY_PARAM_GROUP_NAME, OSSL_PARAM_UTF8_STRING},
        {OSSL_PKEY_PARAM_PUB_KEY, OSSL_PARAM_OCTET_STRING},
        {OSSL_PKEY_PARAM_PRIV_KEY, OSSL_PARAM_UNSIGNED_INTEGER}, /* EC */
        {OSSL_PKEY_PARAM_PRIV_KEY, OSSL_PARAM_OCTET_STRING},     /* ED25519, ED448 */
};

enum { PARAMETERS = sizeof(parameters) / sizeof(parameters[0]) };

static bool write_number(BUF_MEM *record, uint64_t number, size_t size)
{
    uint64_t digits = htobe64(number);

    return buffer_append(record, (const unsigned char *)&digits + sizeof(digits) - size, size);
}

static bool write_vector(BUF_MEM *record, size_t length_size, const void *bytes, size_t size)
{
    return size >> (8 * length_size) == 0 && write_number(record, size, length_size) &&
           buffer_append(record, bytes, size);
}

/* OpenSSL has integers in the machine's own order. */
static void reverse_if_little_endian(unsigned char *bytes, size_t size)
{
    for (size_t index = 0; htobe16(1) != 1 && index < size / 2; index++) {
        unsigned char byte = bytes[index];

        bytes[index] = bytes[size - 1 - index];
        bytes[size - 1 - index] = byte;
    }
}

static const OSSL_PARAM *find_parameter(const OSSL_PARAM *of_key, size_t number)
{
    const OSSL_PARAM *parameter = OSSL_PARAM_locate_const(of_key, parameters[number].name);

    return parameter && parameter->data_type == parameters[number].type ? parameter : NULL;
}

static bool write_parameters(BUF_MEM *record, const OSSL_PARAM *of_key)
{
    unsigned char count = 0;
    bool done;

    for (size_t number = 0; number < PARAMETERS; number++)
        count += find_parameter(of_key, number) != NULL;
    done = buffer_append(record, &count, 1);
    for (size_t number = 0; done && number < PARAMETERS; number++) {
        const OSSL_PARAM *parameter = find_parameter(of_key, number);
        size_t size = parameter ? parameter->data_size : 0;

        if (!parameter)
            continue;
        done = write_number(record, number, 1) && write_vector(record, 4, parameter->data, size);
        if (done && parameter->data_type == OSSL_PARAM_UNSIGNED_INTEGER)
            reverse_if_little_endian((unsigned char *)record->data + record->length - size, size);
    }
    return done;
}

const char *identity_record_write(const struct aliyun_iot_identity *identity, BUF_MEM *record)
{
    bool done;

    if (!identity->key_parameters)
        return "its key is no data";
    done = write_number(record, (uint64_t)identity->fetched, 8) &&
           write_number(record, (uint64_t)identity->not_before, 8) &&
           write_number(record, (uint64_t)identity->not_after, 8) &&
           write_vector(record, 1, identity->key_type, strlen(identity->key_type)) &&
           write_vector(record, 4, identity->serial_number, strlen(identity->serial_number)) &&
           write_vector(record, 4, identity->request_id, strlen(identity->request_id)) &&
           write_number(record, identity->certificate_count, 1);
    for (size_t index = 0; done && index < identity->certificate_count; index++)
        done = write_vector(
                record, 4, identity->certificates[index].bytes, identity->certificates[index].size);
    done = done && write_vector(record, 4, identity->key.bytes, identity->key.size) &&
           write_parameters(record, identity->key_parameters);
    return done ? NULL : "out of memory";
}

/* What is left of a record. */
struct reader {
    struct bytes rest;
    bool lacks_memory;
};

/* Whether the copy was made; if not, it is not the record's fault. */
static bool has_copy(struct reader *reader, const void *copy)
{
    reader->lacks_memory |= copy == NULL;
    return copy != NULL;
}

static bool read_time(struct reader *reader, int64_t *time)
{
    uint32_t high, low;

    if (!bytes_take_number(&reader->rest, 4, &high) || !bytes_take_number(&reader->rest, 4, &low))
        return false;
    *time = (int64_t)((uint64_t)high << 32 | low);
    return true;
}

static bool read_text(struct reader *reader, size_t length_size, char **text)
{
    struct bytes vector;

    if (!bytes_take_vector(&reader->rest, length_size, &vector) ||
            memchr(vector.at, '\0', vector.left))
        return false;
    *text = strndup((const char *)vector.at, vector.left);
    return has_copy(reader, *text);
}

static bool read_der(struct reader *reader, struct der *der)
{
    struct bytes vector;

    if (!bytes_take_vector(&reader->rest, 4, &vector) || vector.left == 0)
        return false;
    der->bytes = OPENSSL_memdup(vector.at, vector.left);
    der->size = der->bytes ? vector.left : 0;
    return has_copy(reader, der->bytes);
}

static bool read_certificates(struct reader *reader, struct aliyun_iot_identity *identity)
{
    uint32_t count;

    if (!bytes_take_number(&reader->rest, 1, &count) || count == 0)
        return false;
    identity->certificates = calloc(count, sizeof(*identity->certificates));
    if (!has_copy(reader, identity->certificates))
        return false;
    for (; identity->certificate_count < count; identity->certificate_count++)
        if (!read_der(reader, &identity->certificates[identity->certificate_count]))
            return false;
    return true;
}

static bool read_parameter(struct reader *reader, OSSL_PARAM *parameter)
{
    struct bytes value;
    uint32_t number;

    if (!bytes_take_number(&reader->rest, 1, &number) || number >= PARAMETERS ||
            !bytes_take_vector(&reader->rest, 4, &value) || value.left == 0)
        return false;
    parameter->key = parameters[number].name;
    parameter->data_type = parameters[number].type;
    parameter->data_size = value.left;
    /* Copied by OSSL_PARAM_dup(), and not changed before. */
    parameter->data = (unsigned char *)(uintptr_t)value.at;
    return true;
}

/* OSSL_PARAM_dup() makes one piece of them, as the parameters of any key are. */
static bool read_parameters(struct reader *reader, OSSL_PARAM **of_key)
{
    OSSL_PARAM found[PARAMETERS + 1] = {OSSL_PARAM_END};
    uint32_t count;

    if (!bytes_take_number(&reader->rest, 1, &count) || count == 0 || count > PARAMETERS)
        return false;
    for (uint32_t index = 0; index < count; index++)
        if (!read_parameter(reader, &found[index]))
            return false;
    *of_key = OSSL_PARAM_dup(found);
    for (OSSL_PARAM *parameter = *of_key; parameter && parameter->key; parameter++)
        if (parameter->data_type == OSSL_PARAM_UNSIGNED_INTEGER)
            reverse_if_little_endian(parameter->data, parameter->data_size);
    return has_copy(reader, *of_key);
}

static bool read_all(struct reader *reader, struct aliyun_iot_identity *identity)
{
    return read_time(reader, &identity->fetched) && read_time(reader, &identity->not_before) &&
           read_time(reader, &identity->not_after) && read_text(reader, 1, &identity->key_type) &&
           read_text(reader, 4, &identity->serial_number) &&
           read_text(reader, 4, &identity->request_id) && read_certificates(reader, identity) &&
           read_der(reader, &identity->key) && read_parameters(reader, &identity->key_parameters) &&
           reader->rest.left == 0;
}

struct aliyun_iot_identity *identity_record_read(struct bytes record, bool *lacks_memory)
{
    CLEANUP(aliyun_iot_identity_free)
    struct aliyun_iot_identity *identity = calloc(1, sizeof(*identity));
    struct reader reader = {record, identity == NULL};
    bool is_whole;

    if (identity)
        identity->references = 1;
    is_whole = identity && read_all(&reader, identity);
    *lacks_memory = reader.lacks_memory;
    return is_whole ? take(identity) : NULL;
}
