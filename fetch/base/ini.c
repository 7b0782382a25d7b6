/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ini.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* The first problem that libini_config found, with its line. */
static void explain_syntax(struct ini_cfgobj *config, struct aliyun_iot_error **error)
{
    char **problems = NULL;

    ini_config_get_errors(config, &problems);
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%s",
            problems && problems[0]
                    ? problems[0]
                    : "it cannot be parsed: a [section] or a key has an odd character");
    ini_config_free_errors(problems);
}

struct ini_cfgobj *config_parse(const BUF_MEM *text, struct aliyun_iot_error **error)
{
    CLEANUP(config_file_destroy) struct ini_cfgfile *source = NULL;
    CLEANUP(config_destroy) struct ini_cfgobj *config = NULL;
    int problem = ini_config_create(&config);

    /* libini_config refuses a text of no bytes. */
    if (problem == 0 && text->length == 0)
        return take(config);
    if (problem == 0)
        problem = ini_config_file_from_mem(text->data, (uint32_t)text->length, &source);
    if (problem == ENOMEM) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (problem != 0) {
        error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "it is not UTF-8 text");
        return NULL;
    }
    /* INI_PARSE_NOWRAP: an indented line does not continue the line before it. */
    if (ini_config_parse(source, INI_STOP_ON_ANY, INI_MV1S_ERROR | INI_MV2S_ERROR | INI_MS_ERROR,
                INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, config) != 0) {
        explain_syntax(config, error);
        return NULL;
    }
    return take(config);
}

/* Whether the text is the word, any number of blanks, and then the character. */
static bool has_word(const char *text, const char *word, char end)
{
    size_t size = strlen(word);

    return strncasecmp(text, word, size) == 0 && text[size + strspn(text + size, " \t")] == end;
}

int config_line(const char *text, const char *section, const char *key)
{
    bool within = false;

    for (int line = 1; *text; line++) {
        const char *place = text + strspn(text, " \t");

        if (*place == '[') {
            within = has_word(place + 1 + strspn(place + 1, " \t"), section, ']');
            if (within && !key)
                return line;
        } else if (within && key && has_word(place, key, '=')) {
            return line;
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return 0;
}
