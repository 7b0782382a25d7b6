/* SPDX-License-Identifier: Apache-2.0 */
/* libini_config with variables that free themselves. */
#ifndef INI_H
#define INI_H

#include <ini_configobj.h>

#include "cleanup.h"

/* The library's own have no prototypes that a cleanup attribute takes. */
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

/* The value of a key; NULL: it is not there. Owned by the configuration. */
static inline struct value_obj *config_value(
        struct ini_cfgobj *config, const char *section, const char *name)
{
    struct value_obj *value = NULL;

    if (ini_get_config_valueobj(section, name, config, INI_GET_FIRST_VALUE, &value) != 0)
        return NULL;
    return value;
}

#endif
