/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uri.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of_input(data, size);
    struct aliyun_iot_error *error = NULL;
    struct uri *uri = uri_parse(text, &error);

    /* What comes out is safe to put into a file name, a header or a query. */
    if (uri && (strpbrk(uri->device_name, "/?&#% \r\n") || strpbrk(uri->product_key, "/?&#% \r\n")))
        abort();
    check_outcome(uri != NULL, error);
    uri_free(uri);
    free(text);
    return 0;
}
