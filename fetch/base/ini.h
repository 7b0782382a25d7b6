/* SPDX-License-Identifier: Apache-2.0 */
/* INI files by libini_config, with variables that free themselves. */
#ifndef INI_H
#define INI_H

#include <ini_configobj.h>

#include "base/buffer.h"
#include "base/error.h"
#include "private/cleanup.h"

/* A cleanup attribute cannot use libini_config's own functions: their prototypes differ. */
static inline void config_destroy(struct ini_cfgobj *config)
{
    ini_config_destroy(config);
}
DEFINE_CLEANUP(struct ini_cfgobj *, config_destroy);

static inline void config_file_destroy(struct ini_cfgfile *file)
{
    ini_config_file_destroy(file);
}
DEFINE_CLEANUP(struct ini_cfgfile *, config_file_destroy);

/* The names of sections or keys; ends with NULL. */
static inline void config_names_free(char **names)
{
    ini_free_attribute_list(names);
}
DEFINE_CLEANUP(char **, config_names_free);

/* The value of a key; NULL: it is not there. Owned by the configuration. */
static inline struct value_obj *config_value(
        struct ini_cfgobj *config, const char *section, const char *name)
{
    struct value_obj *value = NULL;

    if (ini_get_config_valueobj(section, name, config, INI_GET_FIRST_VALUE, &value) != 0)
        return NULL;
    return value;
}

/*
 * Parses the text of an INI file strictly: one line for each value, no repeated section or key.
 * Returns the configuration, to be freed by config_destroy(); or NULL with *error set
 * (BAD_SETTINGS), which names the line but not the file.
 */
struct ini_cfgobj *config_parse(const BUF_MEM *text, struct aliyun_iot_error **error);

/*
 * For error messages, because libini_config 0.7 does not say it: the number of the line that sets a
 * key in a section, or that begins the section if key is NULL. 0 if there is no such line.
 */
int config_line(const char *text, const char *section, const char *key);

#endif
