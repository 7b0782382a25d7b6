/* SPDX-License-Identifier: Apache-2.0 */
/* The URI: aliyun-iot:[//]PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID][&object=cert|key] */
#ifndef URI_H
#define URI_H

#include <aliyun-iot/identity.h>

#include "base/error.h"

/* What a URI names, decoded and checked. */
struct uri {
    char *product_key;
    char *device_name;
    char *instance_id; /* NULL: the settings' */
    char *region;      /* NULL: the settings' */
    enum aliyun_iot_object object;
};

/*
 * Decodes percent-encoding once, then checks the characters. A product key may have A-Z, a-z, 0-9,
 * "_" and "-"; a device name also "@", "." and ":". The limits on lengths are higher than today's
 * names need. Returns the URI, to be freed by uri_free(); or NULL with *error set (BAD_URI).
 */
struct uri *uri_parse(const char *text, struct aliyun_iot_error **error);
void uri_free(struct uri *uri);
DEFINE_CLEANUP(struct uri *, uri_free);

#endif
