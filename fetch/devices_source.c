/* SPDX-License-Identifier: Apache-2.0 */
#include "devices_source.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/pattern.h"
#include "base/text.h"

struct devices_source {
    struct source source; /* the first member, so that a pointer to it is one to this */
    const char *patterns;
    struct source *some, *others;
};

static struct aliyun_iot_identity *devices_fetch(struct source *source, const struct device *device,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct devices_source *devices = (struct devices_source *)source;
    CLEANUP(free) char *name = NULL;
    struct source *chosen;

    if (asprintf(&name, "%s/%s", device->product_key, device->device_name) < 0) {
        name = NULL;
        error_set_out_of_memory(error);
        return NULL;
    }
    chosen = patterns_match(devices->patterns, name) ? devices->some : devices->others;
    return chosen->fetch(chosen, device, background, deadline, error);
}

static void devices_free(struct source *source)
{
    struct devices_source *devices = (struct devices_source *)source;

    source_free(devices->some);
    source_free(devices->others);
    free(devices);
}

struct source *devices_source_new(const char *patterns, struct source *some, struct source *others,
        struct aliyun_iot_error **error)
{
    struct devices_source *devices = calloc(1, sizeof(*devices));

    if (!devices) {
        source_free(some);
        source_free(others);
        error_set_out_of_memory(error);
        return NULL;
    }
    *devices = (struct devices_source){{devices_fetch, devices_free}, patterns, some, others};
    return &devices->source;
}
