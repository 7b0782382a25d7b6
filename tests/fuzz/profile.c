/* SPDX-License-Identifier: Apache-2.0 */
/* The INI file of the SDKs, and the times in answers of credential services. */
#include "cloud/credentials/ini_file.h"
#include "cloud/credentials/temporary.h"
#include "fuzz.h"

/* A time that is accepted lies after 1970, and ends with its zone. */
static void check_time(const char *text)
{
    int64_t seconds;

    if (credentials_parse_time(text, &seconds) && (seconds <= 0 || strlen(text) < 20))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of_input(data, size);
    struct ini_file file;

    check_time(text);
    if (!ini_file_parse(&file, text))
        abort();
    for (size_t index = 0; index < file.count; index++) {
        const struct ini_entry *entry = &file.entries[index];

        if (!ini_file_has_section(&file, entry->section))
            abort();
        if (entry->key && !ini_file_value(&file, entry->section, entry->key))
            abort();
        if (entry->key && strchr(entry->value, '\n'))
            abort();
    }
    ini_file_release(&file);
    free(text);
    return 0;
}
