/* SPDX-License-Identifier: Apache-2.0 */
/* The URI: aliyun-iot:[//]PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID][&object=cert|key] */
#ifndef URI_H
#define URI_H

#include <aliyun-iot/identity.h>

#include "error.h"

/* What a URI names, decoded and checked. */
struct uri {
    char *product_key;
    char *device_name;
    char *instance_id; /* NULL: the settings' */
    char *region;      /* NULL: the settings' */
    enum aliyun_iot_object object;
};

/*
 * Percent-encoding is decoded once, then characters are checked: product key A-Z a-z 0-9 _ -;
 * device name also @ . :. Lengths are checked leniently, since the service has the last word.
 * Returns the URI, to be freed by uri_free(); or NULL with *error set (BAD_URI).
 */
struct uri *uri_parse(const char *text, struct aliyun_iot_error **error);
void uri_free(struct uri *uri);
DEFINE_CLEANUP(struct uri *, uri_free);

#endif
