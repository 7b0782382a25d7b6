/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes: cmocka with the headers that it needs before itself. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aliyun-iot/error.h>

#include "pair.h"

/* The name that cmocka has for this is another from version to version. */
#define assert_between(number, least, most)                                                        \
    do {                                                                                           \
        intmax_t number_ = (intmax_t)(number);                                                     \
                                                                                                   \
        if (number_ < (intmax_t)(least) || number_ > (intmax_t)(most))                             \
            fail_msg("%s is %jd, not from %s to %s", #number, number_, #least, #most);             \
    } while (0)

/* A failed call: its class, a phrase that its message must hold, and one that it must not. */
static inline void assert_error(
        struct aliyun_iot_error *error, enum aliyun_iot_reason reason, const char *phrase)
{
    assert_non_null(error);
    if (aliyun_iot_error_reason(error) != reason ||
            !strstr(aliyun_iot_error_message(error), phrase))
        fail_msg("expected reason %d with \"%s\", got %d: %s", (int)reason, phrase,
                (int)aliyun_iot_error_reason(error), aliyun_iot_error_message(error));
    assert_true(strlen(aliyun_iot_error_message(error)) <= 1000);
    aliyun_iot_error_free(error);
}

#endif
