/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uri.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/text.h"

enum {
    URI_MAX_BYTES = 1024,     /* the longest well-formed one is far shorter */
    SHOWN_MAX_BYTES = 120,    /* of a URI that an error message repeats */
    NAME_SHOWN_MAX_BYTES = 40 /* of an unknown attribute's name */
};

/* A part of a URI: its name in messages, the characters it may have, and its longest length. */
struct part {
    const char *name;
    const char *allowed;
    size_t size_max;
};

/*
 * A device name has 4 to 32 characters today and product keys 11, but only the characters are
 * documented as fixed.
 */
static const struct part product_key_part = {"product key", ALPHANUMERIC "_-", 64};
static const struct part device_name_part = {"device name", ALPHANUMERIC "-_@.:", 128};
static const struct part instance_part = {"attribute instance", ALPHANUMERIC "_-", 128};
static const struct part region_part = {"attribute region", LOWER_CASE DIGITS "-", 64};
static const struct part object_part = {"attribute object", LOWER_CASE, 16};

/* "URI: WHAT PROBLEM (the form is ...)" */
static int bad_uri(
        struct aliyun_iot_error **error, const char *uri, const char *what, const char *problem)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_URI,
            "%.*s%s: %s %s (the form is "
            "aliyun-iot:PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID][&object=cert|key])",
            SHOWN_MAX_BYTES, uri, strlen(uri) > SHOWN_MAX_BYTES ? "..." : "", what, problem);
}

static int hexadecimal(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

/* Returns the byte at *text and moves *text behind it; -1 if a % is not followed by two digits. */
static int decode_byte(const char **text, const char *end)
{
    int high, low;

    if (**text != '%')
        return (unsigned char)*(*text)++;
    if (end - *text < 3)
        return -1;
    high = hexadecimal((*text)[1]);
    low = hexadecimal((*text)[2]);
    *text += 3;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Decodes [text, end) into a new string and checks it as a part of the URI. */
static char *decode_part(const char *uri, const struct part *part, const char *text,
        const char *end, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *decoded = malloc((size_t)(end - text) + 1);
    size_t size = 0;

    if (!decoded) {
        error_set_out_of_memory(error);
        return NULL;
    }
    while (text < end) {
        int byte = decode_byte(&text, end);

        if (byte < 0) {
            bad_uri(error, uri, part->name, "has a % that two hexadecimal digits do not follow");
            return NULL;
        }
        /* A NUL is checked first, because strchr() would find the NUL at the end of the list. */
        if (byte == '\0' || !strchr(part->allowed, byte)) {
            bad_uri(error, uri, part->name, "has a character that is not allowed there");
            return NULL;
        }
        decoded[size++] = (char)byte;
    }
    decoded[size] = '\0';
    if (size == 0 || size > part->size_max) {
        bad_uri(error, uri, part->name, size == 0 ? "is empty" : "is too long");
        return NULL;
    }
    return take(decoded);
}

static int set_object(
        struct uri *parsed, const char *uri, const char *value, struct aliyun_iot_error **error)
{
    if (strcmp(value, "cert") == 0)
        parsed->object = ALIYUN_IOT_OBJECT_CERTIFICATE;
    else if (strcmp(value, "key") == 0)
        parsed->object = ALIYUN_IOT_OBJECT_KEY;
    else
        return bad_uri(error, uri, object_part.name, "is neither cert nor key");
    return 1;
}

/* Decodes an attribute's value into *place. An attribute may be given only once. */
static int set_attribute(char **place, const char *uri, const struct part *part, const char *value,
        const char *end, struct aliyun_iot_error **error)
{
    if (*place)
        return bad_uri(error, uri, part->name, "is given twice");
    *place = decode_part(uri, part, value, end, error);
    return *place != NULL;
}

static int unknown_attribute(
        const char *uri, const char *name, const char *end, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *what = BUF_MEM_new();
    int size = end - name < NAME_SHOWN_MAX_BYTES ? (int)(end - name) : NAME_SHOWN_MAX_BYTES;

    if (!what || !buffer_append_format(what, "attribute \"%.*s\"", size, name))
        return error_set_out_of_memory(error);
    return bad_uri(error, uri, what->data, "is unknown");
}

/* Reads "name=value" pairs between & signs. */
static int parse_attributes(
        struct uri *parsed, const char *uri, const char *text, struct aliyun_iot_error **error)
{
    CLEANUP(free) char *object = NULL;

    for (;;) {
        const char *end = text + strcspn(text, "&");
        const char *equals = memchr(text, '=', (size_t)(end - text));
        const char *name_end = equals ? equals : end;
        const char *value = equals ? equals + 1 : end;
        size_t name_size = (size_t)(name_end - text);
        int done;

        if (name_size == 8 && memcmp(text, "instance", 8) == 0)
            done = set_attribute(&parsed->instance_id, uri, &instance_part, value, end, error);
        else if (name_size == 6 && memcmp(text, "region", 6) == 0)
            done = set_attribute(&parsed->region, uri, &region_part, value, end, error);
        else if (name_size == 6 && memcmp(text, "object", 6) == 0)
            done = set_attribute(&object, uri, &object_part, value, end, error) &&
                   set_object(parsed, uri, object, error);
        else
            done = unknown_attribute(uri, text, name_end, error);
        if (!done)
            return 0;
        if (*end == '\0')
            return 1;
        text = end + 1;
    }
}

static int parse_uri(struct uri *parsed, const char *uri, struct aliyun_iot_error **error)
{
    static const char scheme[] = "aliyun-iot:";
    const char *product_key, *slash, *device_name, *query;

    if (strncasecmp(uri, scheme, sizeof(scheme) - 1) != 0)
        return bad_uri(error, uri, "this", "does not begin with aliyun-iot:");
    if (strlen(uri) > URI_MAX_BYTES)
        return bad_uri(error, uri, "the URI", "is longer than 1024 bytes");
    product_key = uri + sizeof(scheme) - 1;
    if (strncmp(product_key, "//", 2) == 0)
        product_key += 2;
    query = product_key + strcspn(product_key, "?");
    slash = memchr(product_key, '/', (size_t)(query - product_key));
    if (!slash)
        return bad_uri(
                error, uri, "the device name", "is missing: there is no / after the product key");
    device_name = slash + 1;
    parsed->product_key = decode_part(uri, &product_key_part, product_key, slash, error);
    if (!parsed->product_key)
        return 0;
    parsed->device_name = decode_part(uri, &device_name_part, device_name, query, error);
    if (!parsed->device_name)
        return 0;
    return *query == '\0' || parse_attributes(parsed, uri, query + 1, error);
}

struct uri *uri_parse(const char *text, struct aliyun_iot_error **error)
{
    CLEANUP(uri_free) struct uri *parsed = calloc(1, sizeof(*parsed));

    if (!parsed) {
        error_set_out_of_memory(error);
        return NULL;
    }
    return parse_uri(parsed, text, error) ? take(parsed) : NULL;
}

void uri_free(struct uri *uri)
{
    if (!uri)
        return;
    free(uri->product_key);
    free(uri->device_name);
    free(uri->instance_id);
    free(uri->region);
    free(uri);
}
