/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sockets.h"

#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/read_file.h"
#include "base/settings.h"
#include "base/text.h"

enum { FILE_SIZE_MAX_BYTES = 64 * 1024, NAMES_MAX_BYTES = 64 * 1024, PERMISSIONS = 0777 };

/* A section that is being read. */
struct section {
    const char *file, *text, *name;
    struct ini_cfgobj *config;
};

void agent_sockets_free(struct agent_socket *sockets)
{
    while (sockets) {
        struct agent_socket *next = sockets->next;

        free(sockets->name);
        free(sockets->path);
        free(sockets);
        sockets = next;
    }
}

static int bad(const struct section *section, const char *key, const char *problem,
        struct aliyun_iot_error **error)
{
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "settings file %.300s:%d: %.60s: %s",
            section->file, config_line(section->text, section->name, key),
            key ? key : section->name, problem);
}

/* The text of a key; NULL: it is not there. */
static const char *value_of(const struct section *section, const char *key)
{
    struct value_obj *value = config_value(section->config, section->name, key);
    const char *text = value ? ini_get_const_string_config_value(value, NULL) : NULL;

    return value && !text ? "" : text;
}

static bool read_mode(const char *text, mode_t *mode)
{
    char *end;
    unsigned long number = strtoul(text, &end, 8);

    *mode = (mode_t)number;
    return *text >= '0' && *text <= '7' && !*end && number <= PERMISSIONS;
}

static bool read_group(const char *text, gid_t *group)
{
    CLEANUP(free) char *names = NULL;
    struct group entry, *found = NULL;

    if (*text == '#')
        return text_read_id(text, group);
    names = malloc(NAMES_MAX_BYTES);
    if (!names || getgrnam_r(text, &entry, names, NAMES_MAX_BYTES, &found) != 0 || !found)
        return false;
    *group = entry.gr_gid;
    return true;
}

static int read_values(
        const struct section *section, struct agent_socket *made, struct aliyun_iot_error **error)
{
    const char *path = value_of(section, "path");
    const char *mode = value_of(section, "mode");
    const char *group = value_of(section, "group");

    if (!path || *path != '/')
        return bad(section, path ? "path" : NULL, "it needs path, an absolute one", error);
    if (mode && !read_mode(mode, &made->mode))
        return bad(section, "mode", "it must be an octal number up to 0777, such as 0660", error);
    if (group && !read_group(group, &made->group))
        return bad(section, "group", "there is no such group; it must be a name or #GID", error);
    made->path = strdup(path);
    return made->path || error_set_out_of_memory(error);
}

static int check_keys(const struct section *section, struct aliyun_iot_error **error)
{
    CLEANUP(config_names_free)
    char **names = ini_get_attribute_list(section->config, section->name, NULL, NULL);

    for (char **name = names; name && *name; name++)
        if (strcmp(*name, "path") != 0 && strcmp(*name, "mode") != 0 && strcmp(*name, "group") != 0)
            return bad(section, *name, "this key is unknown; a socket has path, mode and group",
                    error);
    return 1;
}

static int load_section(const struct section *section, struct agent_socket **sockets,
        struct aliyun_iot_error **error)
{
    CLEANUP(agent_sockets_free) struct agent_socket *made = calloc(1, sizeof(*made));

    if (!made)
        return error_set_out_of_memory(error);
    made->mode = 0600;
    made->group = (gid_t)-1;
    if (!check_keys(section, error) || !read_values(section, made, error))
        return 0;
    made->name = strdup(section->name + strlen(SETTINGS_SOCKET_PREFIX));
    if (!made->name)
        return error_set_out_of_memory(error);
    made->next = *sockets;
    *sockets = take(made);
    return 1;
}

int agent_sockets_load(
        const char *file, struct agent_socket **sockets, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free)
    BUF_MEM *text = read_file(file, FILE_SIZE_MAX_BYTES, ALIYUN_IOT_REASON_BAD_SETTINGS, error);
    CLEANUP(config_destroy)
    struct ini_cfgobj *config = text ? config_parse(text, error) : NULL;
    CLEANUP(config_names_free) char **sections = NULL;
    CLEANUP(agent_sockets_free) struct agent_socket *made = NULL;
    struct section section = {.file = file, .config = config};

    *sockets = NULL;
    if (!config)
        return error_prefix(error, "settings file %.300s: ", file);
    section.text = text->data;
    sections = ini_get_section_list(config, NULL, NULL);
    for (char **name = sections; name && *name; name++) {
        section.name = *name;
        if (strncmp(*name, SETTINGS_SOCKET_PREFIX, strlen(SETTINGS_SOCKET_PREFIX)) == 0 &&
                !load_section(&section, &made, error))
            return 0;
    }
    *sockets = take(made);
    return 1;
}
