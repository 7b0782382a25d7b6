/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/rule_values.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/principal/overflow_id.h"
#include "base/pattern.h"
#include "base/text.h"

enum {
    ENTRY_MAX_BYTES = 1024 * 1024, /* of a line of the user or group database */
    NOBODY_ID = 65534,             /* also where the kernel was told another one */
    LIST_MAX = 10000
};

static const char out_of_memory[] = "there was no memory to read it";
static const char empty_element[] = "an element of the list is empty";

/* Takes the next element off a list, without blanks around it; NULL: there is none. */
static char *next_element(char **list)
{
    char *element = strsep(list, ",");
    size_t size;

    if (!element)
        return NULL;
    element += strspn(element, " \t");
    size = strlen(element);
    while (size > 0 && strchr(" \t", element[size - 1]))
        size--;
    element[size] = '\0';
    return element;
}

static size_t count_elements(const char *list)
{
    size_t count = 1;

    for (; *list; list++)
        count += *list == ',';
    return count;
}

/* One of these words. */
struct word {
    const char *word;
    unsigned value;
};

static unsigned find_word(const struct word *words, const char *text)
{
    while (words->word && strcmp(words->word, text) != 0)
        words++;
    return words->value;
}

const char *rule_read_effect(struct rule *rule, char *text, const char **wrong)
{
    static const struct word effects[] = {
            {"allow", RULE_ALLOW}, {"deny", RULE_DENY}, {"limit", RULE_LIMIT}, {NULL, 0}};

    *wrong = text;
    rule->effect = (enum rule_effect)find_word(effects, text);
    return rule->effect ? NULL : "it must be allow, deny or limit";
}

const char *rule_read_containers(struct rule *rule, char *text, const char **wrong)
{
    *wrong = text;
    rule->may_be_in_a_container = strcmp(text, "yes") == 0;
    return rule->may_be_in_a_container || strcmp(text, "no") == 0 ? NULL : "it must be yes or no";
}

const char *rule_read_usage(struct rule *rule, char *text, const char **wrong)
{
    *wrong = text;
    rule->is_tls_client = strcmp(text, "tls-client") == 0;
    return rule->is_tls_client || strcmp(text, "any") == 0 ? NULL : "it must be any or tls-client";
}

const char *rule_read_reason(struct rule *rule, char *text, const char **wrong)
{
    *wrong = text;
    rule->reason = strdup(text);
    return rule->reason ? NULL : out_of_memory;
}

static const struct word operations[] = {
        {"load", RULE_LOAD}, {"sign", RULE_SIGN}, {"export", RULE_EXPORT}, {NULL, 0}};

const char *rule_operation_name(enum rule_operation operation)
{
    const struct word *word = operations;

    while (word->word && word->value != operation)
        word++;
    return word->word;
}

enum rule_operation rule_operation_find(const char *name)
{
    return (enum rule_operation)find_word(operations, name);
}

const char *rule_read_operations(struct rule *rule, char *text, const char **wrong)
{
    while ((*wrong = next_element(&text))) {
        unsigned operation = rule_operation_find(*wrong);

        if (operation == 0)
            return "there is no such operation; there are load, sign and export";
        if (rule->operations & operation)
            return "the operation is repeated";
        rule->operations |= operation;
    }
    return NULL;
}

static bool find_user(const char *name, uint32_t *id)
{
    CLEANUP(free) char *names = malloc(ENTRY_MAX_BYTES);
    struct passwd entry, *found = NULL;

    if (!names || getpwnam_r(name, &entry, names, ENTRY_MAX_BYTES, &found) != 0 || !found)
        return false;
    *id = entry.pw_uid;
    return true;
}

static bool find_group(const char *name, uint32_t *id)
{
    CLEANUP(free) char *names = malloc(ENTRY_MAX_BYTES);
    struct group entry, *found = NULL;

    if (!names || getgrnam_r(name, &entry, names, ENTRY_MAX_BYTES, &found) != 0 || !found)
        return false;
    *id = entry.gr_gid;
    return true;
}

static int compare_ids(const void *one, const void *other)
{
    uint32_t left = *(const uint32_t *)one, right = *(const uint32_t *)other;

    return left < right ? -1 : left > right;
}

/* What users and groups have in common. */
struct kind {
    bool (*find)(const char *name, uint32_t *id);
    uint32_t (*overflow_id)(void);
    const char *unknown, *overflow;
};

static const char *read_ids(
        const struct kind *kind, struct rule_ids *ids, char *text, const char **wrong)
{
    uint32_t overflow = kind->overflow_id(), id;

    ids->list = reallocarray(NULL, count_elements(text), sizeof(*ids->list));
    if (!ids->list)
        return out_of_memory;
    while ((*wrong = next_element(&text))) {
        if (!**wrong)
            return empty_element;
        if (**wrong == '#' ? !text_read_id(*wrong, &id) : !kind->find(*wrong, &id))
            return kind->unknown;
        if (id == overflow || id == NOBODY_ID)
            return kind->overflow;
        ids->list[ids->count++] = id;
    }
    qsort(ids->list, ids->count, sizeof(*ids->list), compare_ids);
    return NULL;
}

const char *rule_read_users(struct rule *rule, char *text, const char **wrong)
{
    static const struct kind users = {find_user, overflow_uid,
            "there is no such user; it must be a name or #UID",
            "this id stands for all whose id cannot be told, so it is nobody's"};

    *wrong = text;
    rule->users.is_any = strcmp(text, "*") == 0;
    return rule->users.is_any ? NULL : read_ids(&users, &rule->users, text, wrong);
}

const char *rule_read_groups(struct rule *rule, char *text, const char **wrong)
{
    static const struct kind groups = {find_group, overflow_gid,
            "there is no such group; it must be a name or #GID",
            "this id stands for all whose id cannot be told, so it is nobody's"};

    return read_ids(&groups, &rule->groups, text, wrong);
}

/* Each element is checked by is_valid. */
static const char *read_strings(struct rule_strings *strings, char *text, const char **wrong,
        bool (*is_valid)(const char *element), const char *problem)
{
    strings->list = reallocarray(NULL, count_elements(text), sizeof(*strings->list));
    if (!strings->list)
        return out_of_memory;
    while ((*wrong = next_element(&text))) {
        if (!**wrong)
            return empty_element;
        if (!is_valid(*wrong))
            return problem;
        strings->list[strings->count++] = *wrong;
    }
    return NULL;
}

/* systemd.unit(5), and "*". */
static bool is_unit(const char *element)
{
    return !element[strspn(element, ALPHANUMERIC ":-_.\\@*")];
}

static bool is_socket(const char *element)
{
    return !element[strspn(element, ALPHANUMERIC ":-_.@")];
}

static bool is_instance(const char *element)
{
    return !element[strspn(element, ALPHANUMERIC "_-*")];
}

const char *rule_read_units(struct rule *rule, char *text, const char **wrong)
{
    return read_strings(&rule->units, text, wrong, is_unit,
            "it must be the name of a unit, such as mqtt-harness@*.service");
}

const char *rule_read_sockets(struct rule *rule, char *text, const char **wrong)
{
    return read_strings(&rule->sockets, text, wrong, is_socket,
            "it must be the NAME of a section [socket/NAME], without *");
}

const char *rule_read_devices(struct rule *rule, char *text, const char **wrong)
{
    return read_strings(&rule->devices, text, wrong, pattern_is_valid,
            "it must be PRODUCT_KEY/DEVICE_NAME, where * is any run of characters but /");
}

const char *rule_read_instances(struct rule *rule, char *text, const char **wrong)
{
    return read_strings(&rule->instances, text, wrong, is_instance,
            "it must be the ID of an instance, where * is any run of characters, or public");
}

static bool read_server(const char *text, bool may_be_address, struct rule_server *server)
{
    struct bytes bytes = {(const unsigned char *)text, strlen(text)};

    server->is_address = may_be_address && address_read(text, &server->address);
    return server->is_address || dns_name_read(bytes, true, true, server->pattern);
}

static const char *read_servers(struct rule_servers *servers, char *text, const char **wrong,
        bool may_be_address, const char *problem)
{
    servers->list = calloc(count_elements(text), sizeof(*servers->list));
    if (!servers->list)
        return out_of_memory;
    while ((*wrong = next_element(&text))) {
        if (!**wrong)
            return empty_element;
        if (!read_server(*wrong, may_be_address, &servers->list[servers->count]))
            return problem;
        servers->count++;
    }
    return NULL;
}

const char *rule_read_hosts(struct rule *rule, char *text, const char **wrong)
{
    *wrong = text;
    rule->has_any_host = strcmp(text, "*") == 0;
    if (rule->has_any_host)
        return NULL;
    return read_servers(&rule->hosts, text, wrong, false,
            "it must be a DNS name, where * may be the whole leftmost label, or * alone");
}

const char *rule_read_servers(struct rule *rule, char *text, const char **wrong)
{
    return read_servers(&rule->servers, text, wrong, true,
            "it must be a DNS name, where * may be the whole leftmost label, or an address");
}

bool rule_read_time(const char *text, int64_t *seconds)
{
    struct tm date = {.tm_sec = 0}, again;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &date);
    char written[sizeof("2026-12-31T23:59:59Z") + 8];
    time_t moment;

    if (!end || *end)
        return false;
    moment = timegm(&date);
    *seconds = moment;
    /* strptime() takes the 31st of February, a leap second, and fewer digits. */
    return gmtime_r(&moment, &again) &&
           strftime(written, sizeof(written), "%Y-%m-%dT%H:%M:%SZ", &again) > 0 &&
           strcmp(written, text) == 0;
}

static const char *read_end(int64_t *place, const char *text, const char **wrong)
{
    *wrong = text;
    return rule_read_time(text, place) ? NULL : "it must be a time in UTC: 2026-12-31T23:59:59Z";
}

const char *rule_read_not_before(struct rule *rule, char *text, const char **wrong)
{
    return read_end(&rule->not_before_s, text, wrong);
}

const char *rule_read_not_after(struct rule *rule, char *text, const char **wrong)
{
    return read_end(&rule->not_after_s, text, wrong);
}

const char *rule_read_rate(struct rule *rule, char *text, const char **wrong)
{
    static const struct word periods[] = {{"/s", 1}, {"/min", 60}, {"/h", 3600}, {NULL, 0}};
    size_t digits = strspn(text, DIGITS);

    *wrong = text;
    rule->rate = digits > 0 && digits < 10 ? strtoll(text, NULL, 10) : 0;
    rule->period_s = find_word(periods, text + digits);
    return rule->rate > 0 && rule->period_s > 0
                   ? NULL
                   : "it must be N/s, N/min or N/h, where N is a whole number from 1 on";
}
