/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "cloud/material.h"

/* Certificate, a line "=", and key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of_input(data, size);
    char *cut = strstr(text, "\n=\n");
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity;

    if (cut)
        *cut = '\0';
    identity = material_parse(text, cut ? cut + 3 : "", NULL, NULL, &error);
    check_outcome(identity != NULL, error);
    aliyun_iot_identity_free(identity);
    free(text);
    return 0;
}
