/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reasons of <aliyun-iot/error.h> in words. The provider module needs them before the library
 * is loaded, and must not link it, so both build their tables from this one list.
 *
 * A text is complete by itself: many programs show nothing else of an error.
 */
#ifndef REASONS_H
#define REASONS_H

#define REASONS(REASON)                                                                            \
    REASON(OUT_OF_MEMORY, "Aliyun IoT: out of memory")                                             \
    REASON(LIBRARY, "Aliyun IoT: libaliyun-iot or a module of it is missing or does not fit")      \
    REASON(BAD_URI, "Aliyun IoT: malformed URI, expected aliyun-iot:PRODUCT_KEY/DEVICE_NAME")      \
    REASON(BAD_SETTINGS, "Aliyun IoT: the settings file is unreadable or wrong")                   \
    REASON(NO_CREDENTIALS, "Aliyun IoT: no AccessKey found in any credential source")              \
    REASON(BAD_CREDENTIALS, "Aliyun IoT: the cloud rejected the AccessKey")                        \
    REASON(REFUSED, "Aliyun IoT: not permitted to use this device's certificate")                  \
    REASON(NOT_FOUND, "Aliyun IoT: no such product, device or instance")                           \
    REASON(THROTTLED, "Aliyun IoT: the account's quota of calls is used up")                       \
    REASON(TIMEOUT, "Aliyun IoT: timed out waiting for the cloud")                                 \
    REASON(UNREACHABLE, "Aliyun IoT: cannot connect to the cloud")                                 \
    REASON(NOT_TRUSTED, "Aliyun IoT: the cloud endpoint's TLS certificate could not be verified")  \
    REASON(BAD_ANSWER, "Aliyun IoT: the cloud's answer is malformed")                              \
    REASON(SERVICE, "Aliyun IoT: the cloud answered with an error")                                \
    REASON(NOT_READY, "Aliyun IoT: the device's certificate is still being generated")             \
    REASON(GENERATION_FAILED, "Aliyun IoT: the cloud failed to generate the device's certificate") \
    REASON(KEY_MISMATCH, "Aliyun IoT: the device's private key does not match its certificate")    \
    REASON(NOT_VALID, "Aliyun IoT: the device's certificate is expired or not yet valid")          \
    REASON(CLOCK, "Aliyun IoT: this machine's clock differs from the cloud's")                     \
    REASON(REENTRANT,                                                                              \
            "Aliyun IoT: a device URI is needed to reach the cloud itself (openssl.cnf loop)")     \
    REASON(BAD_IDENTITY_FILE, "Aliyun IoT: broken ALIYUN-IOT IDENTITY block in PEM file")          \
    REASON(INTERNAL, "Aliyun IoT: the system or OpenSSL failed")                                   \
    REASON(AGENT, "Aliyun IoT: the agent cannot be used")                                          \
    REASON(LIMITED, "Aliyun IoT: a limit of the agent was reached")                                \
    REASON(TOKEN, "Aliyun IoT: the PKCS#11 token cannot be used")

#endif
