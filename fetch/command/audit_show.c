/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot audit show: the lines of a log that fit, in columns. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/json.h"
#include "base/pattern.h"
#include "base/read_file.h"
#include "base/text.h"
#include "command/audit.h"
#include "command/command.h"

static const char agent_settings[] = "/etc/aliyun-iot/agent.conf";

enum { DEPTH_MAX = 4, OPTION_COUNT = 4, SETTINGS_MAX_BYTES = 64 * 1024 };

/* Which lines are shown. NULL: any. */
struct filter {
    const char *device, *user, *since, *until;
    double uid;
};

/* Reads the options. Returns the index of the first file; or -1, having printed what is wrong. */
static int read_options(int argc, char **argv, struct filter *filter)
{
    const struct {
        const char *name;
        const char **value;
    } options[OPTION_COUNT] = {
            {"--device", &filter->device},
            {"--user", &filter->user},
            {"--since", &filter->since},
            {"--until", &filter->until},
    };
    int index = 1;

    for (; index < argc && argv[index][0] == '-'; index += 2) {
        int option = 0;

        while (option < OPTION_COUNT && strcmp(options[option].name, argv[index]) != 0)
            option++;
        if (option == OPTION_COUNT || index + 1 >= argc) {
            fail_usage("audit show: unexpected \"%s\"; see aliyun-iot(1)", argv[index]);
            return -1;
        }
        *options[option].value = argv[index + 1];
    }
    return index;
}

/* As the log has times; they are compared as text. */
static bool is_time(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00";
    size_t size = strlen(text);

    /* A date alone is its beginning. */
    if (size != 10 && size != 20)
        return false;
    for (size_t index = 0; index < size; index++)
        if (index == 19              ? text[index] != 'Z'
                : form[index] == '0' ? !strchr(DIGITS, text[index])
                                     : text[index] != form[index])
            return false;
    return true;
}

static int check_filter(struct filter *filter)
{
    const struct passwd *user;
    uint32_t uid;

    if (filter->device && !pattern_is_valid(filter->device))
        return fail_usage("--device takes PRODUCT_KEY/DEVICE_NAME, where * is any run of "
                          "characters but /");
    if ((filter->since && !is_time(filter->since)) || (filter->until && !is_time(filter->until)))
        return fail_usage("--since and --until take a date or a time in UTC, as in 2026-12-31 or "
                          "2026-12-31T23:59:59Z");
    if (!filter->user)
        return EXIT_DONE;
    if (text_read_id(filter->user, &uid)) {
        filter->uid = uid;
        return EXIT_DONE;
    }
    user = getpwnam(filter->user);
    if (!user)
        return fail_usage("there is no user %s; give a name or #UID", filter->user);
    filter->uid = user->pw_uid;
    return EXIT_DONE;
}

/* The seconds of two times, which may have milliseconds and an end. */
static int compare_times(const char *one, const char *other)
{
    size_t size = strlen(other) == 10 ? 10 : 19;

    return strncmp(one, other, size);
}

static bool fits(const struct filter *filter, const cJSON *record)
{
    const char *device = json_string(record, "device");
    const char *time = json_string(record, "time");
    const cJSON *uid = cJSON_GetObjectItemCaseSensitive(record, "uid");

    if (filter->device && (!device || !pattern_matches(filter->device, device)))
        return false;
    if (filter->user && (!cJSON_IsNumber(uid) || cJSON_GetNumberValue(uid) != filter->uid))
        return false;
    if (!time)
        return !filter->since && !filter->until;
    return (!filter->since || compare_times(time, filter->since) >= 0) &&
           (!filter->until || compare_times(time, filter->until) < 0);
}

/* Text of the log is made printable: it is as good as whoever can write to it. */
static void print_value(const cJSON *record, const char *name, const char *instead)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(record, name);
    const char *text = cJSON_GetStringValue(value);

    if (cJSON_IsNumber(value))
        printf("%.0f", cJSON_GetNumberValue(value));
    else if (!text)
        fputs(instead, stdout);
    for (; text && *text; text++)
        putchar(*text < ' ' || *text > '~' ? '?' : *text);
}

static void print_record(const cJSON *record)
{
    static const char *const columns[] = {
            "time", "seq", "decision", "operation", "device", "uid", "unit", "rule", "error"};

    for (size_t index = 0; index < sizeof(columns) / sizeof(columns[0]); index++) {
        if (index > 0)
            putchar('\t');
        print_value(record, columns[index], "-");
    }
    putchar('\n');
}

static int show_file(const struct filter *filter, const char *file)
{
    CLEANUP(fclose) FILE *stream = fopen(file, "re");
    CLEANUP(free) char *line = NULL;
    size_t room = 0;
    ssize_t size;

    if (!stream)
        return fail("%s: %s", file, strerror(errno));
    while ((size = getline(&line, &room, stream)) >= 0) {
        const char *problem = NULL;
        CLEANUP(json_free) cJSON *record = json_parse(line, (size_t)size, DEPTH_MAX, &problem);

        /* What was cut short is for verify to tell. */
        if (record && fits(filter, record))
            print_record(record);
    }
    return ferror(stream) ? fail("%s: %s", file, strerror(errno)) : EXIT_DONE;
}

/* The log that the agent's settings name, to be freed; NULL, having printed why there is none. */
static char *usual_log(void)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    CLEANUP(BUF_MEM_free)
    BUF_MEM *text =
            read_file(agent_settings, SETTINGS_MAX_BYTES, ALIYUN_IOT_REASON_BAD_SETTINGS, &error);
    CLEANUP(config_destroy)
    struct ini_cfgobj *config = text ? config_parse(text, &error) : NULL;
    struct value_obj *value = config ? config_value(config, "audit", "file") : NULL;
    const char *file = value ? ini_get_const_string_config_value(value, NULL) : NULL;
    char *path = NULL;

    if (error)
        fail("%s%s%s", text ? agent_settings : "", text ? ": " : "",
                aliyun_iot_error_message(error));
    else if (!file)
        fail("%s: it has no file in section [audit]; name a log", agent_settings);
    else if (asprintf(&path, "%s%s", *file == '/' ? "" : "/etc/aliyun-iot/", file) < 0)
        path = NULL;
    return path;
}

int audit_show(int argc, char **argv)
{
    struct filter filter = {.device = NULL};
    int index = read_options(argc, argv, &filter);
    int status = index < 0 ? EXIT_USAGE : check_filter(&filter);

    if (status == EXIT_DONE && index == argc) {
        CLEANUP(free) char *log = usual_log();

        return log ? show_file(&filter, log) : EXIT_FAILED;
    }
    for (; status == EXIT_DONE && index < argc; index++)
        status = show_file(&filter, argv[index]);
    return status;
}
