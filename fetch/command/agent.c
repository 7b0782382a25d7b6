/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot agent: what operators ask of an agent. */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aliyun-iot/agent.h>

#include "base/json.h"
#include "base/text.h"

static cJSON *new_request(const char *operation)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "version", 1);
    cJSON_AddStringToObject(request, "operation", operation);
    return request;
}

/* Returns the answer; or NULL, having printed why there is none. */
static cJSON *ask(const cJSON *request)
{
    CLEANUP(json_text_free) char *text = cJSON_PrintUnformatted(request);
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;
    CLEANUP(free) char *answer = NULL;
    cJSON *object;

    if (!text) {
        fail("out of memory");
        return NULL;
    }
    if (!aliyun_iot_agent_request(NULL, text, &answer, &error)) {
        fail("%s", aliyun_iot_error_message(error));
        return NULL;
    }
    object = cJSON_Parse(answer);
    if (!object)
        fail("out of memory");
    return object;
}

/* The text of a member, made printable: it may come from the cloud. */
static void print_member(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

    if (cJSON_IsNumber(value)) {
        printf("%.0f", cJSON_GetNumberValue(value));
        return;
    }
    for (const char *text = cJSON_GetStringValue(value); text && *text; text++)
        putchar(*text < ' ' || *text > '~' ? '?' : *text);
}

static int show_status(const cJSON *answer)
{
    static const struct {
        const char *label, *name;
    } rows[] = {
            {"version:     ", "product_version"},
            {"started:     ", "started"},
            {"settings:    ", "settings"},
            {"policy:      ", "policy"},
            {"reload:      ", "reload_error"},
            {"connections: ", "connections"},
            {"requests:    ", "requests"},
            {"identities:  ", "identities"},
            {"failures:    ", "failures"},
            {"calls:       ", "calls"},
    };

    for (size_t index = 0; index < sizeof(rows) / sizeof(rows[0]); index++) {
        fputs(rows[index].label, stdout);
        print_member(answer, rows[index].name);
        putchar('\n');
    }
    return EXIT_DONE;
}

/* A line for each identity, with tabs between the columns. */
static void show_page(const cJSON *answer)
{
    static const char *const columns[] = {
            "device", "instance", "region", "not_after", "fetched", "serial_number"};
    const cJSON *identity;

    cJSON_ArrayForEach(identity, cJSON_GetObjectItemCaseSensitive(answer, "identities"))
    {
        for (size_t index = 0; index < sizeof(columns) / sizeof(columns[0]); index++) {
            if (index > 0)
                putchar('\t');
            print_member(identity, columns[index]);
        }
        putchar('\n');
    }
}

static int list(void)
{
    double after = 0;

    for (;;) {
        CLEANUP(json_free) cJSON *request = new_request("list");
        CLEANUP(json_free) cJSON *answer = NULL;
        const cJSON *next;

        cJSON_AddNumberToObject(request, "after", after);
        answer = ask(request);
        if (!answer)
            return EXIT_FAILED;
        show_page(answer);
        next = cJSON_GetObjectItemCaseSensitive(answer, "next");
        /* Pages go forward, whatever the agent says. */
        if (!cJSON_IsNumber(next) || cJSON_GetNumberValue(next) <= after)
            return EXIT_DONE;
        after = cJSON_GetNumberValue(next);
    }
}

static int evict(const char *pattern)
{
    CLEANUP(json_free) cJSON *request = new_request("evict");
    CLEANUP(json_free) cJSON *answer = NULL;

    cJSON_AddStringToObject(request, "pattern", pattern);
    answer = ask(request);
    if (!answer)
        return EXIT_FAILED;
    fputs("evicted: ", stdout);
    print_member(answer, "evicted");
    putchar('\n');
    return EXIT_DONE;
}

static int ask_simply(const char *operation)
{
    CLEANUP(json_free) cJSON *request = new_request(operation);
    CLEANUP(json_free) cJSON *answer = ask(request);

    if (!answer)
        return EXIT_FAILED;
    if (strcmp(operation, "status") == 0)
        return show_status(answer);
    if (strcmp(operation, "metrics") == 0)
        fputs(json_string(answer, "text") ? json_string(answer, "text") : "", stdout);
    return EXIT_DONE;
}

int command_agent(int argc, char **argv)
{
    const char *operation = argc > 1 ? argv[1] : "";

    if (argc == 2 && (strcmp(operation, "status") == 0 || strcmp(operation, "reload") == 0 ||
                             strcmp(operation, "metrics") == 0))
        return ask_simply(operation);
    if (argc == 2 && strcmp(operation, "list") == 0)
        return list();
    if (argc == 3 && strcmp(operation, "evict") == 0)
        return evict(argv[2]);
    return fail_usage("agent takes status, list, metrics, evict PATTERN or reload; see aliyun-iot "
                      "help agent");
}
