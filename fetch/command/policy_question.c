/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `aliyun-iot policy explain`: a principal and what it asks for. */
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/rule_values.h"
#include "agent/principal/overflow_id.h"
#include "base/text.h"
#include "command/policy.h"

static const char unknown[] = "unknown";

/* Values of options that may be repeated. They point into argv. */
struct values {
    const char **list;
    size_t count;
};

struct options {
    const char *policy, *user, *unit, *socket, *container, *operation, *usage, *tls, *sni, *at;
    const char *uri;
    struct values groups, hosts, servers;
};

static char problem_text[600];

__attribute__((format(printf, 1, 2))) static const char *wrong(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem_text, sizeof(problem_text), format, arguments);
    va_end(arguments);
    text_make_printable(problem_text);
    return problem_text;
}

static const char *add_value(struct values *values, const char *value)
{
    const char **list = reallocarray(values->list, values->count + 1, sizeof(*list));

    if (!list)
        return wrong("out of memory");
    values->list = list;
    list[values->count++] = value;
    return NULL;
}

static const char *read_option(struct options *options, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **one;
        struct values *several;
    } known[] = {
            {"--policy", &options->policy, NULL},
            {"--user", &options->user, NULL},
            {"--group", NULL, &options->groups},
            {"--unit", &options->unit, NULL},
            {"--socket", &options->socket, NULL},
            {"--container", &options->container, NULL},
            {"--host", NULL, &options->hosts},
            {"--operation", &options->operation, NULL},
            {"--usage", &options->usage, NULL},
            {"--tls", &options->tls, NULL},
            {"--sni", &options->sni, NULL},
            {"--server", NULL, &options->servers},
            {"--at", &options->at, NULL},
    };

    for (size_t index = 0; index < sizeof(known) / sizeof(known[0]); index++) {
        if (strcmp(known[index].name, name) != 0)
            continue;
        if (!value)
            return wrong("%s needs a value", name);
        if (known[index].several)
            return add_value(known[index].several, value);
        if (*known[index].one)
            return wrong("%s is repeated", name);
        *known[index].one = value;
        return NULL;
    }
    return wrong("there is no option %.100s", name);
}

static const char *read_options(int argc, char **argv, struct options *options)
{
    const char *problem = NULL;

    for (int index = 1; !problem && index < argc; index++) {
        if (argv[index][0] == '-') {
            problem = read_option(options, argv[index], argv[index + 1]);
            index++;
        } else if (options->uri) {
            problem = wrong("there are two URIs, the second of which is %.100s", argv[index]);
        } else {
            options->uri = argv[index];
        }
    }
    return problem;
}

/* The groups that the databases give to a user. */
static const char *look_up_groups(struct question *question, const struct passwd *user, size_t more)
{
    int count = 64;

    for (;;) {
        int room = count;

        free(question->groups);
        question->groups = calloc((size_t)room + more, sizeof(gid_t));
        if (!question->groups)
            return wrong("out of memory");
        if (getgrouplist(user->pw_name, user->pw_gid, question->groups, &count) >= 0)
            break;
        if (count <= room)
            return wrong("the groups of %.100s cannot be read", user->pw_name);
    }
    question->principal.group_count = (size_t)count;
    return NULL;
}

static const char *read_user(const struct options *options, struct question *question)
{
    struct principal *principal = &question->principal;
    const struct passwd *user = NULL;
    uint32_t id = 0;

    principal->has_uid = strcmp(options->user, unknown) != 0;
    if (principal->has_uid) {
        bool is_number = text_read_id(options->user, &id);

        user = is_number ? getpwuid(id) : getpwnam(options->user);
        if (!user && !is_number)
            return wrong("there is no user %.100s; give a name, #UID or unknown", options->user);
        principal->uid = user ? user->pw_uid : id;
        principal->has_uid = principal->uid != overflow_uid();
    }
    if (user)
        return look_up_groups(question, user, options->groups.count);
    question->groups = calloc(options->groups.count + 1, sizeof(gid_t));
    return question->groups ? NULL : wrong("out of memory");
}

/* As the agent sees them: the overflow group may be any. */
static void forget_overflow_group(struct principal *principal, gid_t *groups)
{
    size_t count = 0;

    for (size_t index = 0; index < principal->group_count; index++) {
        if (groups[index] == overflow_gid())
            principal->has_all_groups = false;
        else
            groups[count++] = groups[index];
    }
    principal->groups = groups;
    principal->group_count = count;
}

static const char *read_groups(const struct options *options, struct question *question)
{
    struct principal *principal = &question->principal;

    principal->has_all_groups = true;
    for (size_t index = 0; index < options->groups.count; index++) {
        const char *name = options->groups.list[index];
        const struct group *group;
        uint32_t id;

        if (strcmp(name, unknown) == 0) {
            principal->has_all_groups = false;
            continue;
        }
        if (!text_read_id(name, &id)) {
            group = getgrnam(name);
            if (!group)
                return wrong("there is no group %.100s; give a name, #GID or unknown", name);
            id = group->gr_gid;
        }
        question->groups[principal->group_count++] = id;
    }
    forget_overflow_group(principal, question->groups);
    return NULL;
}

static enum known read_known(const char *text)
{
    if (!text)
        return KNOWN_NO;
    return strcmp(text, unknown) == 0 ? UNKNOWN : KNOWN_YES;
}

static const char *read_local_peer(const struct options *options, struct question *question)
{
    struct principal *principal = &question->principal;
    const char *problem = read_user(options, question);

    if (!problem)
        problem = read_groups(options, question);
    principal->has_unit = read_known(options->unit);
    principal->unit = options->unit;
    principal->has_socket = read_known(options->socket);
    principal->socket = options->socket;
    principal->is_in_a_container = read_known(options->container);
    if (!problem && principal->is_in_a_container == KNOWN_YES &&
            strcmp(options->container, "yes") != 0)
        problem = wrong("--container takes yes or unknown");
    return problem;
}

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const unsigned char *)text, strlen(text)};
}

static const char *read_remote_peer(const struct options *options, struct question *question)
{
    size_t count = options->hosts.count;

    if (options->groups.count > 0 || options->unit || options->socket || options->container)
        return wrong("--host is a program on another machine, which has no --group, --unit, "
                     "--socket or --container");
    question->host_names = calloc(count, sizeof(*question->host_names));
    question->hosts = calloc(count, sizeof(*question->hosts));
    if (!question->host_names || !question->hosts)
        return wrong("out of memory");
    for (size_t index = 0; index < count; index++) {
        if (!dns_name_read(
                    bytes_of(options->hosts.list[index]), false, true, question->host_names[index]))
            return wrong("--host %.100s is no DNS name", options->hosts.list[index]);
        question->hosts[index] = question->host_names[index];
    }
    question->principal =
            (struct principal){.is_remote = true, .hosts = question->hosts, .host_count = count};
    return NULL;
}

static struct server_name read_server(const char *text)
{
    struct server_name name = {.kind = SERVER_NAME_ODD};

    if (address_read(text, &name.address))
        name.kind = SERVER_NAME_ADDRESS;
    else if (dns_name_read(bytes_of(text), true, true, name.dns))
        name.kind = SERVER_NAME_DNS;
    return name;
}

static const char *read_servers(const struct options *options, struct transcript *transcript)
{
    size_t count = options->servers.count;

    transcript->names = malloc(sizeof(*transcript->names) + count * sizeof(struct server_name));
    if (!transcript->names)
        return wrong("out of memory");
    transcript->names->count = count;
    for (size_t index = 0; index < count; index++)
        transcript->names->names[index] = read_server(options->servers.list[index]);
    return NULL;
}

static const char *read_handshake(const struct options *options, struct question *question)
{
    struct handshake *handshake = &question->handshake;
    const char *tls = options->tls ? options->tls : options->servers.count > 0 ? "1.2" : "1.3";

    question->request.handshake = handshake;
    question->shows_handshake = options->usage != NULL;
    if (!options->usage) {
        handshake->problem = "it is no TLS handshake";
        return options->tls || options->sni || options->servers.count > 0
                       ? wrong("--tls, --sni and --server need --usage tls-client")
                       : NULL;
    }
    if (strcmp(options->usage, "tls-client") != 0)
        return wrong("--usage takes tls-client");
    if (question->request.operation != RULE_SIGN)
        return wrong("--usage is about --operation sign alone");
    handshake->is_tls_1_3 = strcmp(tls, "1.3") == 0;
    if (handshake->is_tls_1_3)
        return NULL;
    if (strcmp(tls, "1.2") != 0)
        return wrong("--tls takes 1.2 or 1.3");
    handshake->transcript.has_sni = options->sni != NULL;
    if (options->sni &&
            !dns_name_read(bytes_of(options->sni), false, false, handshake->transcript.sni))
        handshake->problem = "the name of the server that the client asks for is malformed";
    return read_servers(options, &handshake->transcript);
}

static const char *read_operation(const char *text, enum rule_operation *operation)
{
    *operation = text ? rule_operation_find(text) : 0;
    return *operation ? NULL : wrong("--operation takes load, sign or export");
}

static const char *read_device(const char *text, struct question *question)
{
    CLEANUP(aliyun_iot_error_free) struct aliyun_iot_error *error = NULL;

    if (!text)
        return wrong("the URI of a device is missing");
    question->uri = uri_parse(text, &error);
    if (!question->uri)
        return wrong("%s", aliyun_iot_error_message(error));
    if (asprintf(&question->device, "%s/%s", question->uri->product_key,
                question->uri->device_name) < 0) {
        question->device = NULL;
        return wrong("out of memory");
    }
    question->request.device = question->device;
    question->request.instance = question->uri->instance_id;
    return NULL;
}

static const char *read_question(const struct options *options, struct question *question)
{
    struct policy_request *request = &question->request;
    const char *problem;

    if (!options->user == (options->hosts.count == 0))
        return wrong("give either --user or --host");
    question->policy_file = options->policy;
    question->user = options->user;
    request->principal = &question->principal;
    request->time_s = time(NULL);
    if (options->at && !rule_read_time(options->at, &request->time_s))
        return wrong("--at takes a time in UTC, as in 2026-12-31T23:59:59Z");
    problem = options->user ? read_local_peer(options, question)
                            : read_remote_peer(options, question);
    if (!problem)
        problem = read_operation(options->operation, &request->operation);
    if (!problem)
        problem = read_device(options->uri, question);
    return problem ? problem : read_handshake(options, question);
}

const char *question_read(int argc, char **argv, struct question *question)
{
    struct options options = {.policy = NULL};
    const char *problem = read_options(argc, argv, &options);

    *question = (struct question){.policy_file = NULL};
    if (!problem)
        problem = read_question(&options, question);
    free(options.groups.list);
    free(options.hosts.list);
    free(options.servers.list);
    return problem;
}

void question_release(struct question *question)
{
    handshake_release(&question->handshake);
    uri_free(question->uri);
    free(question->device);
    free(question->groups);
    free(question->hosts);
    free(question->host_names);
}
