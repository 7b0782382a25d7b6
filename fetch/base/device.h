/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked for: one device, with all that names it. Two callers who mean the same device give
 * the same five values.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdlib.h>

#include "private/cleanup.h"

struct device {
    const char *region;   /* "cn-shanghai" */
    const char *endpoint; /* "https://host[:port]" */
    const char *product_key;
    const char *device_name;
    const char *instance_id; /* NULL: the public instance */
};

/* A copy with its strings, to be freed with device_free(). NULL when out of memory. */
struct device *device_copy(const struct device *device);

/* Takes what device_copy() returned. NULL is ignored. */
static inline void device_free(struct device *device)
{
    free(device);
}
DEFINE_CLEANUP(struct device *, device_free);

/* As strcmp(): 0 if both name the same device; else their order. */
int device_compare(const struct device *left, const struct device *right);

#endif
