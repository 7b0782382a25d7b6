/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of libaliyun-iot.
 *
 * A failed call leaves one error: a class a program can decide on (reason) and a sentence for a
 * person (message) that names the URI, what was asked, what came back and what to do. No message
 * ever holds a secret.
 */
#ifndef ALIYUN_IOT_ERROR_H
#define ALIYUN_IOT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* Classes of failure. The numbers are part of the interface and never change. */
enum aliyun_iot_reason {
    ALIYUN_IOT_REASON_OUT_OF_MEMORY = 1,
    ALIYUN_IOT_REASON_LIBRARY = 2,            /* library or module missing, or of another version */
    ALIYUN_IOT_REASON_BAD_URI = 3,            /* not a well-formed aliyun-iot: URI */
    ALIYUN_IOT_REASON_BAD_SETTINGS = 4,       /* aliyun-iot.conf unreadable or wrong */
    ALIYUN_IOT_REASON_NO_CREDENTIALS = 5,     /* no source has an AccessKey */
    ALIYUN_IOT_REASON_BAD_CREDENTIALS = 6,    /* the AccessKey or token was rejected */
    ALIYUN_IOT_REASON_REFUSED = 7,            /* the caller may not do this */
    ALIYUN_IOT_REASON_NOT_FOUND = 8,          /* no such product, device or instance */
    ALIYUN_IOT_REASON_THROTTLED = 9,          /* over the account's quota */
    ALIYUN_IOT_REASON_TIMEOUT = 10,           /* the deadline passed */
    ALIYUN_IOT_REASON_UNREACHABLE = 11,       /* no connection to the service */
    ALIYUN_IOT_REASON_NOT_TRUSTED = 12,       /* the service's TLS certificate failed to verify */
    ALIYUN_IOT_REASON_BAD_ANSWER = 13,        /* the answer is not what the service documents */
    ALIYUN_IOT_REASON_SERVICE = 14,           /* the service failed, or answered an unknown code */
    ALIYUN_IOT_REASON_NOT_READY = 15,         /* the certificate is still being generated */
    ALIYUN_IOT_REASON_GENERATION_FAILED = 16, /* the service could not generate it */
    ALIYUN_IOT_REASON_KEY_MISMATCH = 17,      /* key and certificate do not belong together */
    ALIYUN_IOT_REASON_NOT_VALID = 18,         /* the certificate is expired or not yet valid */
    ALIYUN_IOT_REASON_CLOCK = 19,             /* this machine's clock is wrong */
    ALIYUN_IOT_REASON_REENTRANT = 20,         /* a URI needed while resolving a URI */
    ALIYUN_IOT_REASON_BAD_IDENTITY_FILE = 21, /* a broken PEM identity block */
    ALIYUN_IOT_REASON_INTERNAL = 22,          /* the system or OpenSSL failed underneath */
    ALIYUN_IOT_REASON_AGENT = 23,             /* the agent is not there, or cannot be used */
    ALIYUN_IOT_REASON_LIMITED = 24,           /* a limit of the agent */
    ALIYUN_IOT_REASON_TOKEN = 25              /* the PKCS#11 token refuses, or is not there */
};

struct aliyun_iot_error;

/* The class of the error. */
enum aliyun_iot_reason aliyun_iot_error_reason(const struct aliyun_iot_error *error);

/* The sentence for a person: one line, no line break, at most 1000 bytes. Owned by the error. */
const char *aliyun_iot_error_message(const struct aliyun_iot_error *error);

/* The class in words, complete by itself: many programs show nothing else. A constant. */
const char *aliyun_iot_reason_text(enum aliyun_iot_reason reason);

/*
 * Writes what a caller itself found wrong to the trace, as the library does with its own errors:
 * there it is seen even if the program shows nothing of it.
 *
 * settings_file: as for aliyun_iot_identity_resolve(); if the settings cannot be read, the message
 *     is written only if ALIYUN_IOT_TRACE says where.
 * message: one line, without a secret.
 */
void aliyun_iot_error_trace(const char *settings_file, const char *message);

/* Frees an error; NULL is ignored. */
void aliyun_iot_error_free(struct aliyun_iot_error *error);

#ifdef __cplusplus
}
#endif

#endif
