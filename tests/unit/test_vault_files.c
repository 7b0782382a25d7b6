/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a vault: whole or not there, and the user's own. */
#include "unit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#include "folder.h"
#include "vault/files.h"
#include "vault/lock.h"

#define ENTRY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "0144444444444444444444444444444444444444444444444444444444444444"
#define ENTRY_PATH "/01/" ENTRY

static char root[] = "/tmp/vault-files-XXXXXX";
static char path[sizeof(root) + 8], elsewhere[sizeof(root) + 16],
        entry_path[sizeof(path) + sizeof(ENTRY_PATH)];
static int folder;

static int make_vault(void **state)
{
    (void)state;
    assert_null(files_create(path, &folder));
    return 0;
}

static int remove_vault(void **state)
{
    (void)state;
    files_close(&folder);
    return folder_remove(path);
}

static void write_text(const char *name, const char *text)
{
    assert_null(files_write(folder, name, text, strlen(text)));
}

/* The text of a file, or what is wrong with it. In a place that the next call uses again. */
static const char *read_text(const char *name)
{
    static char text[200];
    struct file file;
    const char *fault, *problem = files_read(folder, name, &file, &fault);

    if (problem)
        snprintf(text, sizeof(text), "problem: %s", problem);
    else if (fault)
        snprintf(text, sizeof(text), "fault: %s", fault);
    else
        snprintf(text, sizeof(text), "%.*s", (int)file.size, (const char *)file.bytes);
    free(file.bytes);
    return text;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    assert_string_equal(read_text(ENTRY), "");
    write_text(ENTRY, "old");
    write_text(OTHER, "other");
    write_text(ENTRY, "new");
    write_text(FILES_KEYS, "keys");
    assert_string_equal(read_text(ENTRY), "new");
    assert_string_equal(read_text(OTHER), "other");
    assert_string_equal(read_text(FILES_KEYS), "keys");
    assert_null(files_remove(folder, ENTRY));
    assert_null(files_remove(folder, ENTRY));
    assert_string_equal(read_text(ENTRY), "");
    assert_string_equal(read_text(OTHER), "other");
}

static struct file read_file(void)
{
    struct file file;
    const char *fault;

    assert_null(files_read(folder, ENTRY, &file, &fault));
    assert_null(fault);
    free(file.bytes);
    return file;
}

static void only_the_file_that_was_read_is_replaced(void **state)
{
    struct file file;
    bool was_changed;

    (void)state;
    write_text(ENTRY, "old");
    file = read_file();
    assert_null(files_replace(folder, ENTRY, &file, "mine", 4, &was_changed));
    assert_false(was_changed);
    assert_string_equal(read_text(ENTRY), "mine");
    file = read_file();
    write_text(ENTRY, "theirs");
    assert_null(files_replace(folder, ENTRY, &file, "mine", 4, &was_changed));
    assert_true(was_changed);
    assert_string_equal(read_text(ENTRY), "theirs");
    file = read_file();
    assert_null(files_remove(folder, ENTRY));
    assert_null(files_replace(folder, ENTRY, &file, "mine", 4, &was_changed));
    assert_true(was_changed);
    assert_string_equal(read_text(ENTRY), "");
}

static mode_t mode_of(const char *file)
{
    struct stat status;

    assert_int_equal(0, lstat(file, &status));
    return status.st_mode & 07777;
}

static void files_are_for_their_user_alone_whatever_the_umask(void **state)
{
    char prefix[sizeof(path) + 8];
    mode_t before = umask(0);

    (void)state;
    write_text(ENTRY, "text");
    umask(before);
    snprintf(prefix, sizeof(prefix), "%s/01", path);
    assert_int_equal(mode_of(path), 0700);
    assert_int_equal(mode_of(prefix), 0700);
    assert_int_equal(mode_of(entry_path), 0600);
    umask(0777);
    write_text(OTHER, "text");
    umask(before);
    assert_string_equal(read_text(OTHER), "text");
}

static void make_link(void)
{
    assert_int_equal(0, rename(entry_path, elsewhere));
    assert_int_equal(0, symlink(elsewhere, entry_path));
}

static void make_fifo(void)
{
    unlink(entry_path);
    assert_int_equal(0, mkfifo(entry_path, 0600));
}

static void make_folder(void)
{
    unlink(entry_path);
    assert_int_equal(0, mkdir(entry_path, 0700));
}

static void make_readable(void)
{
    assert_int_equal(0, chmod(entry_path, 0644));
}

static void make_long(void)
{
    assert_int_equal(0, truncate(entry_path, FILES_SIZE_MAX + 1));
}

static void what_the_vault_did_not_write_is_a_fault(void **state)
{
    static const struct {
        void (*make)(void);
        const char *fault;
    } cases[] = {
            {make_link, "fault: it is a symbolic link, or no regular file"},
            {make_fifo, "fault: it is a symbolic link, or no regular file"},
            {make_folder, "fault: it is a symbolic link, or no regular file"},
            {make_readable, "fault: others may use it; its mode must be 0600"},
            {make_long, "fault: it is too long"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct stat status;

        write_text(ENTRY, "text");
        cases[index].make();
        assert_string_equal(read_text(ENTRY), cases[index].fault);
        assert_null(files_set_aside(folder, ENTRY));
        assert_string_equal(read_text(ENTRY), "");
        assert_int_equal(-1, lstat(entry_path, &status));
        assert_int_equal(files_count_set_aside(folder), 1);
        assert_int_equal(0, folder_remove(path));
        files_close(&folder);
        assert_null(files_create(path, &folder));
    }
    unlink(elsewhere);
}

static void a_file_of_another_user_is_a_fault(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    write_text(ENTRY, "text");
    assert_int_equal(0, chown(entry_path, 12345, 0));
    assert_string_equal(read_text(ENTRY), "fault: it belongs to another user");
}

static void assert_no_vault(const char *problem)
{
    int opened;
    const char *found = files_open(path, &opened);

    assert_non_null(found);
    assert_string_equal(found, problem);
    assert_int_equal(opened, -1);
}

static void a_folder_that_others_may_use_is_no_vault(void **state)
{
    (void)state;
    assert_int_equal(0, chmod(path, 0750));
    assert_no_vault("others may use it; its mode must be 0700");
    assert_int_equal(0, chmod(path, 0700));
    if (geteuid() == 0) {
        assert_int_equal(0, chown(path, 12345, 0));
        assert_no_vault("it belongs to another user");
        assert_int_equal(0, chown(path, 0, 0));
    }
    assert_int_equal(0, rename(path, elsewhere));
    assert_int_equal(0, symlink(elsewhere, path));
    assert_no_vault("it is a symbolic link, or no folder");
    assert_int_equal(0, unlink(path));
    assert_no_vault("No such file or directory");
    assert_int_equal(0, rename(elsewhere, path));
}

static void a_prefix_that_is_a_link_is_not_followed(void **state)
{
    char prefix[sizeof(path) + 8];

    (void)state;
    snprintf(prefix, sizeof(prefix), "%s/01", path);
    assert_int_equal(0, symlink("/tmp", prefix));
    assert_string_equal(read_text(ENTRY), "problem: it is a symbolic link, or no folder");
    assert_string_equal(files_write(folder, ENTRY, "x", 1), "it is a symbolic link, or no folder");
}

static void a_folder_that_is_not_empty_does_not_become_a_vault(void **state)
{
    int again;

    (void)state;
    write_text(FILES_KEYS, "keys");
    assert_string_equal(files_create(path, &again), "it is not empty");
    assert_int_equal(again, -1);
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    const struct rlimit small = {4, RLIM_INFINITY};
    struct rlimit before;

    (void)state;
    write_text(ENTRY, "old");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_string_equal(files_write(folder, ENTRY, "new text", 8), "File too large");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_string_equal(read_text(ENTRY), "old");
    assert_int_equal(0, unlink(entry_path));
    /* Only an empty folder can be removed: nothing is left. */
    *strrchr(entry_path, '/') = '\0';
    assert_int_equal(0, rmdir(entry_path));
    entry_path[strlen(entry_path)] = '/';
}

static int count;

static bool count_and_check(void *context, const char *name)
{
    (void)context;
    assert_true(strcmp(name, ENTRY) == 0 || strcmp(name, OTHER) == 0);
    count++;
    return true;
}

static bool visit_one(void *context, const char *name)
{
    (void)context;
    (void)name;
    count++;
    return false;
}

static void each_entry_is_visited_and_nothing_else(void **state)
{
    char abandoned[sizeof(path) + 32], fresh[sizeof(path) + 32];
    const struct utimbuf old = {0, 0};

    (void)state;
    write_text(ENTRY, "1");
    write_text(OTHER, "2");
    write_text(FILES_KEYS, "keys");
    write_text("ff00000000000000000000000000000000000000000000000000000000000000", "3");
    assert_null(files_set_aside(
            folder, "ff00000000000000000000000000000000000000000000000000000000000000"));
    snprintf(abandoned, sizeof(abandoned), "%s/01/.new-1", path);
    snprintf(fresh, sizeof(fresh), "%s/01/.new-2", path);
    assert_int_equal(0, close(open(abandoned, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    assert_int_equal(0, close(open(fresh, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    assert_int_equal(0, utime(abandoned, &old));
    count = 0;
    assert_null(files_visit(folder, count_and_check, NULL));
    assert_int_equal(count, 2);
    assert_int_equal(-1, access(abandoned, F_OK));
    assert_int_equal(0, access(fresh, F_OK));
    count = 0;
    assert_null(files_visit(folder, visit_one, NULL));
    assert_int_equal(count, 1);
}

/* Two processes write, this one reads: what it reads is whole. */
static void a_reader_never_sees_half_a_file(void **state)
{
    static char texts[2][100000];
    pid_t writers[2];

    (void)state;
    for (int writer = 0; writer < 2; writer++) {
        memset(texts[writer], 'a' + writer, sizeof(texts[writer]));
        writers[writer] = fork();
        if (writers[writer] == 0)
            for (;;)
                files_write(folder, ENTRY, texts[writer], sizeof(texts[writer]) - (size_t)writer);
    }
    for (int round = 0; round < 2000;) {
        struct file file;
        const char *fault;

        assert_null(files_read(folder, ENTRY, &file, &fault));
        assert_null(fault);
        if (file.bytes) {
            int writer = file.bytes[0] - 'a';

            assert_int_equal(file.size, sizeof(texts[0]) - (size_t)writer);
            assert_memory_equal(file.bytes, texts[writer], file.size);
            round++;
        }
        free(file.bytes);
    }
    for (int writer = 0; writer < 2; writer++) {
        kill(writers[writer], SIGKILL);
        waitpid(writers[writer], NULL, 0);
    }
}

static void a_vault_is_one_agents_until_that_ends(void **state)
{
    struct aliyun_iot_error *error = NULL;
    struct vault_lock *lock = vault_lock_take(path, NULL, NULL), *again, *other;

    (void)state;
    assert_non_null(lock);
    again = vault_lock_take(path, lock, NULL);
    assert_ptr_equal(again, lock);
    other = vault_lock_take(path, NULL, &error);
    assert_null(other);
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "is another agent's, which runs");
    vault_lock_free(again);
    assert_null(vault_lock_take(path, NULL, NULL));
    vault_lock_free(lock);
    lock = vault_lock_take(path, NULL, NULL);
    assert_non_null(lock);
    vault_lock_free(lock);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_vault, remove_vault)
    const struct CMUnitTest tests[] = {
            TEST(what_was_written_is_read),
            TEST(only_the_file_that_was_read_is_replaced),
            TEST(files_are_for_their_user_alone_whatever_the_umask),
            TEST(what_the_vault_did_not_write_is_a_fault),
            TEST(a_file_of_another_user_is_a_fault),
            TEST(a_folder_that_others_may_use_is_no_vault),
            TEST(a_prefix_that_is_a_link_is_not_followed),
            TEST(a_folder_that_is_not_empty_does_not_become_a_vault),
            TEST(a_failed_write_leaves_the_old_file_and_nothing_else),
            TEST(each_entry_is_visited_and_nothing_else),
            TEST(a_reader_never_sees_half_a_file),
            TEST(a_vault_is_one_agents_until_that_ends),
    };
    int status;

    if (!mkdtemp(root))
        return 1;
    snprintf(path, sizeof(path), "%s/vault", root);
    snprintf(entry_path, sizeof(entry_path), "%s" ENTRY_PATH, path);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", root);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(root);
    return status;
}
