/* SPDX-License-Identifier: Apache-2.0 */
#include "base/device.h"

#include <string.h>

enum { FIELD_COUNT = 5 };

/* The one place that lists the fields. The names that differ most come first. */
static void list_fields(const struct device *device, const char *fields[FIELD_COUNT])
{
    fields[0] = device->device_name;
    fields[1] = device->product_key;
    fields[2] = device->instance_id;
    fields[3] = device->endpoint;
    fields[4] = device->region;
}

struct device *device_copy(const struct device *device)
{
    const char *fields[FIELD_COUNT], *copies[FIELD_COUNT] = {NULL};
    struct device *copy;
    size_t size = sizeof(*copy);
    char *end;

    list_fields(device, fields);
    for (size_t index = 0; index < FIELD_COUNT; index++)
        size += fields[index] ? strlen(fields[index]) + 1 : 0;
    copy = malloc(size);
    if (!copy)
        return NULL;
    end = (char *)(copy + 1);
    for (size_t index = 0; index < FIELD_COUNT; index++) {
        if (!fields[index])
            continue;
        copies[index] = end;
        end = stpcpy(end, fields[index]) + 1;
    }
    *copy = (struct device){.device_name = copies[0],
            .product_key = copies[1],
            .instance_id = copies[2],
            .endpoint = copies[3],
            .region = copies[4]};
    return copy;
}

/* NULL comes before every text, the empty one included. */
static int compare_texts(const char *left, const char *right)
{
    if (!left || !right)
        return (left != NULL) - (right != NULL);
    return strcmp(left, right);
}

int device_compare(const struct device *left, const struct device *right)
{
    const char *left_fields[FIELD_COUNT], *right_fields[FIELD_COUNT];
    int order = 0;

    list_fields(left, left_fields);
    list_fields(right, right_fields);
    for (size_t index = 0; order == 0 && index < FIELD_COUNT; index++)
        order = compare_texts(left_fields[index], right_fields[index]);
    return order;
}
