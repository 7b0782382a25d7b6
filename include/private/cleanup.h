/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables that free what they hold when they go out of scope, so that a function leaves by any
 * way without a leak:
 *
 *     CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
 *
 * A type gets this by one line DEFINE_CLEANUP(type *, free_function) after its free function.
 * take() hands the value on and leaves NULL behind.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#define DEFINE_CLEANUP(type, function)                                                             \
    static inline void function##_at(type *place)                                                  \
    {                                                                                              \
        if (*place)                                                                                \
            function(*place);                                                                      \
    }                                                                                              \
    struct cleanup_needs_a_semicolon

#define CLEANUP(function) __attribute__((cleanup(function##_at)))

#define take(place)                                                                                \
    __extension__({                                                                                \
        __typeof__(place) taken_ = (place);                                                        \
        (place) = NULL;                                                                            \
        taken_;                                                                                    \
    })

#endif
