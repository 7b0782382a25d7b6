/* SPDX-License-Identifier: Apache-2.0 */
/* Which file the settings are read from. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/settings.h"
#include "base/text.h"

static const char system_file[] = "/etc/aliyun-iot/aliyun-iot.conf";
static const char user_file[] = "aliyun-iot/aliyun-iot.conf";

/* The file that the caller or the environment names; NULL if neither does. */
static const char *named_file(const char *file)
{
    const char *named = file ? file : secure_getenv("ALIYUN_IOT_CONFIG");

    return named && *named ? named : NULL;
}

static char *copy_path(const char *path, struct aliyun_iot_error **error)
{
    char *copy = strdup(path);

    if (!copy)
        error_set_out_of_memory(error);
    return copy;
}

char *settings_home(void)
{
    const char *home = secure_getenv("HOME");
    struct passwd entry, *found = NULL;
    char names[4096];

    if (home && *home == '/')
        return strdup(home);
    if (getpwuid_r(geteuid(), &entry, names, sizeof(names), &found) != 0 || !found)
        return NULL;
    return strdup(entry.pw_dir);
}

/*
 * The path of the user's file, whether it exists or not. Returns 0 with *error set if out of
 * memory.
 */
static int user_path(char **path, struct aliyun_iot_error **error)
{
    const char *folder = secure_getenv("XDG_CONFIG_HOME");
    CLEANUP(free) char *home = NULL;
    int size = 0;

    *path = NULL;
    if (folder && *folder == '/')
        size = asprintf(path, "%s/%s", folder, user_file);
    else if ((home = settings_home()))
        size = asprintf(path, "%s/.config/%s", home, user_file);
    if (size >= 0)
        return 1;
    *path = NULL;
    return error_set_out_of_memory(error);
}

/* Returns 0, or errno if the file cannot be examined. */
static int look_at(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? 0 : errno;
}

static bool is_absent(int problem)
{
    return problem == ENOENT || problem == ENOTDIR;
}

char *settings_path(const char *file, struct aliyun_iot_error **error)
{
    const char *named = named_file(file);
    CLEANUP(free) char *path = NULL;
    int problem;

    if (named)
        return copy_path(named, error);
    if (!user_path(&path, error))
        return NULL;
    problem = path ? look_at(path) : ENOENT;
    /*
     * A home that may not be entered belongs to another user: a daemon that was started by root
     * and then changed its user may still have HOME=/root. Other problems are reported when the
     * file is opened.
     */
    if (!is_absent(problem) && problem != EACCES)
        return take(path);
    return is_absent(look_at(system_file)) ? NULL : copy_path(system_file, error);
}

const char *settings_path_advice(const char *file)
{
    if (file && *file)
        return "the program, or config in openssl.cnf, names this file: correct the name, or let "
               "this user read the file";
    if (named_file(NULL))
        return "ALIYUN_IOT_CONFIG names this file: correct it, or let this user read the file";
    return "let this user read the file, or name another one in ALIYUN_IOT_CONFIG";
}
