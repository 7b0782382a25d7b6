/* SPDX-License-Identifier: Apache-2.0 */
/* What the cloud answers, for tests that run the library over a network of their own. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "pair.h"

/* The text of an answer of QueryDeviceCert, with a new pair; to be freed by cJSON_free(). */
static inline char *answer_of_device(const char *key_type)
{
    EVP_PKEY *key = pair_key(key_type);
    X509 *certificate = pair_certificate(key, -60, 86400);
    char *certificate_pem = pair_certificate_pem(certificate);
    char *key_pem = pair_key_pem(key, "PrivateKeyInfo");
    cJSON *answer = cJSON_CreateObject();
    cJSON *information = cJSON_AddObjectToObject(answer, "DeviceCertInfo");
    char *text;

    cJSON_AddTrueToObject(answer, "Success");
    cJSON_AddNumberToObject(information, "Status", 2);
    cJSON_AddStringToObject(information, "Certificate", certificate_pem);
    cJSON_AddStringToObject(information, "PrivateKey", key_pem);
    text = cJSON_PrintUnformatted(answer);
    cJSON_Delete(answer);
    free(certificate_pem);
    free(key_pem);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!text)
        abort();
    return text;
}

/* The AccessKey that a call is signed with; the code under test takes it from the environment. */
static inline void answer_set_access_key(void)
{
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret", 1);
}

/* "2026-11-24T12:00:00Z", so many seconds from now. Valid until the next call. */
static inline const char *answer_date_in(int seconds)
{
    static char text[32];
    time_t when = time(NULL) + seconds;
    struct tm date;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &date));
    return text;
}

#endif
