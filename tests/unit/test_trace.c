/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trace.h"

static char folder[] = "/tmp/test-trace-XXXXXX";
static char file[64], other[64];
static struct trace_output *output;

/* What a file holds, to be freed; NULL: there is none. */
static char *read_text(const char *path)
{
    FILE *stream = fopen(path, "r");
    char *text = NULL;
    size_t room = 0;

    if (!stream)
        return NULL;
    if (getdelim(&text, &room, '\0', stream) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(stream);
    return text;
}

static struct settings settings_of(enum trace_level level)
{
    return (struct settings){.trace_file = file, .trace_level = level, .trace_output = output};
}

static void assert_line(const char *line, const char *level_and_text)
{
    char pattern[512];
    regex_t compiled;

    snprintf(pattern, sizeof(pattern),
            "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z "
            "pid=%ld tid=[0-9]+ %s\n$",
            (long)getpid(), level_and_text);
    assert_int_equal(0, regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB));
    if (regexec(&compiled, line, 0, NULL, 0) != 0)
        fail_msg("\"%s\" is not like \"%s\"", line, pattern);
    regfree(&compiled);
}

static void assert_traced(const char *level_and_text)
{
    char *text = read_text(file);

    assert_non_null(text);
    assert_line(text, level_and_text);
    free(text);
    assert_int_equal(0, unlink(file));
}

static void assert_nothing_traced(void)
{
    assert_int_equal(-1, access(file, F_OK));
}

static void a_line_has_time_process_thread_level_and_text(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);

    (void)state;
    trace(&settings, TRACE_INFO, "call action=%s try=%d", "QueryDeviceCert", 2);
    assert_traced("info call action=QueryDeviceCert try=2");
}

static void lines_are_appended(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    char *text, *second;

    (void)state;
    trace(&settings, TRACE_INFO, "first");
    trace(&settings, TRACE_ERROR, "second");
    text = read_text(file);
    second = strchr(text, '\n') + 1;
    assert_line(second, "error second");
    *second = '\0';
    assert_line(text, "info first");
    free(text);
}

static void a_level_holds_what_is_graver_and_no_more(void **state)
{
    static const char *const names[] = {"", "error gone", "info gone", "debug gone"};

    (void)state;
    for (int chosen = TRACE_OFF; chosen <= TRACE_DEBUG; chosen++) {
        for (int level = TRACE_ERROR; level <= TRACE_DEBUG; level++) {
            struct settings settings = settings_of((enum trace_level)chosen);

            trace(&settings, (enum trace_level)level, "gone");
            if (level <= chosen)
                assert_traced(names[level]);
            else
                assert_nothing_traced();
        }
    }
}

static void without_a_file_nothing_is_written(void **state)
{
    struct settings settings = {.trace_level = TRACE_DEBUG};

    (void)state;
    trace(&settings, TRACE_ERROR, "gone");
    assert_nothing_traced();
}

static void what_comes_from_outside_begins_no_line_and_moves_no_cursor(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    char every[257] = "", expected[257] = "";

    (void)state;
    trace(&settings, TRACE_INFO, "device=%s", "a\r\n2026-01-01T00:00:00 error forged\x1b[2J\t\x7f");
    assert_traced("info device=a[?][?]2026-01-01T00:00:00 error forged[?]\\[2J[?][?]");

    for (int byte = 1; byte < 256; byte++) {
        every[byte - 1] = (char)byte;
        expected[byte - 1] = byte >= ' ' && byte <= '~' ? (char)byte : '?';
    }
    trace(&settings, TRACE_INFO, "%s", every);
    {
        char *text = read_text(file);

        assert_non_null(strstr(text, expected));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        free(text);
    }
}

static void a_long_text_is_one_line(void **state)
{
    enum { SIZE = 100000 };
    struct settings settings = settings_of(TRACE_INFO);
    char *long_text = malloc(SIZE + 1), *text;

    (void)state;
    memset(long_text, 'x', SIZE);
    long_text[SIZE] = '\0';
    trace(&settings, TRACE_INFO, "%s", long_text);
    text = read_text(file);
    assert_non_null(strstr(text, long_text));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
    free(long_text);
}

static void a_new_file_is_for_its_owner_alone(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    mode_t before = umask(0);
    struct stat status;

    (void)state;
    trace(&settings, TRACE_INFO, "private");
    umask(before);
    assert_int_equal(0, stat(file, &status));
    assert_int_equal(status.st_mode, S_IFREG | 0600);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    char *text;

    (void)state;
    close(open(other, O_WRONLY | O_CREAT | O_EXCL, 0600));
    assert_int_equal(0, symlink(other, file));
    trace(&settings, TRACE_INFO, "elsewhere");
    text = read_text(other);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(0, unlink(other));
    trace(&settings, TRACE_INFO, "elsewhere");
    assert_int_equal(-1, access(other, F_OK));
}

static void a_place_that_cannot_be_written_is_ignored(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);

    (void)state;
    strcat(file, "/absent/trace.log");
    trace(&settings, TRACE_INFO, "nowhere");
    settings.trace_file = folder;
    trace(&settings, TRACE_INFO, "nowhere");
    settings.trace_file = (char[]){""};
    trace(&settings, TRACE_INFO, "nowhere");
    settings.trace_file = (char[]){"/dev/full"};
    trace(&settings, TRACE_INFO, "nowhere");
}

static void a_pipe_that_nobody_reads_stops_nobody(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);

    (void)state;
    assert_int_equal(0, mkfifo(file, 0600));
    alarm(300);
    trace(&settings, TRACE_INFO, "nowhere");
    alarm(0);
}

/* Traces to a pipe as standard error. */
static void trace_to_pipe(int end, int lines)
{
    struct settings settings = {.trace_file = (char[]){"stderr"}, .trace_level = TRACE_INFO};
    int before = dup(STDERR_FILENO);

    assert_int_equal(dup2(end, STDERR_FILENO), STDERR_FILENO);
    alarm(300);
    for (int line = 0; line < lines; line++)
        trace(&settings, TRACE_INFO, "line=%d", line);
    alarm(0);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
}

static void a_full_pipe_as_standard_error_stops_nobody(void **state)
{
    int ends[2], lines = 0;
    FILE *stream;
    char *text = NULL;
    size_t room = 0;

    (void)state;
    assert_int_equal(0, pipe2(ends, O_CLOEXEC));
    trace_to_pipe(ends[1], 10000);
    close(ends[1]);
    stream = fdopen(ends[0], "r");
    for (; getline(&text, &room, stream) > 0; lines++)
        assert_non_null(strchr(text, '\n'));
    assert_true(lines > 100 && lines < 10000);
    free(text);
    fclose(stream);
}

static void a_pipe_as_standard_error_without_a_reader_kills_nobody(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(0, pipe2(ends, O_CLOEXEC));
    close(ends[0]);
    trace_to_pipe(ends[1], 1);
    close(ends[1]);
}

static void errno_stays_as_it_was(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);

    (void)state;
    errno = EXDEV;
    trace(&settings, TRACE_INFO, "written");
    assert_int_equal(errno, EXDEV);
    trace(&settings, TRACE_DEBUG, "left out");
    assert_int_equal(errno, EXDEV);
    settings.trace_file = (char[]){"/absent/trace.log"};
    trace(&settings, TRACE_INFO, "nowhere");
    assert_int_equal(errno, EXDEV);
    settings.trace_file = (char[]){"/dev/full"};
    trace(&settings, TRACE_INFO, "nowhere");
    assert_int_equal(errno, EXDEV);
}

/* The number that the next descriptor will have. */
static int next_descriptor(void)
{
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(next);
    return next;
}

static void the_descriptor_that_is_kept_is_not_inherited_and_is_closed_in_the_end(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    int kept = next_descriptor();

    (void)state;
    trace(&settings, TRACE_INFO, "kept");
    assert_int_not_equal(next_descriptor(), kept);
    trace(&settings, TRACE_INFO, "kept");
    assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
    trace_output_free(output);
    output = NULL;
    assert_int_equal(next_descriptor(), kept);
}

static void without_room_to_keep_it_the_file_is_opened_for_each_line(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    int next = next_descriptor();

    (void)state;
    settings.trace_output = NULL;
    trace(&settings, TRACE_INFO, "opened and closed");
    assert_int_equal(next_descriptor(), next);
    assert_traced("info opened and closed");
}

static void a_file_of_the_program_that_has_the_number_now_gets_no_line(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    int kept = next_descriptor();
    char *text;

    (void)state;
    trace(&settings, TRACE_INFO, "first");
    assert_int_equal(0, close(kept));
    assert_int_equal(kept, open(other, O_RDWR | O_CREAT | O_EXCL, 0600));
    trace(&settings, TRACE_INFO, "second");
    text = read_text(other);
    assert_string_equal(text, "");
    free(text);
    text = read_text(file);
    assert_non_null(strstr(text, "info second\n"));
    free(text);
    close(kept);
}

static void the_trace_is_never_standard_output(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    int before = dup(STDOUT_FILENO);

    (void)state;
    close(STDOUT_FILENO);
    trace(&settings, TRACE_INFO, "to the file alone");
    assert_int_equal(-1, fcntl(STDOUT_FILENO, F_GETFD));
    assert_int_equal(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
    close(before);
}

/* As log rotation does it. Lines go to the renamed file until the path is looked at again. */
static void after_the_file_was_renamed_there_is_a_new_one(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);
    char *text;

    (void)state;
    trace(&settings, TRACE_INFO, "old");
    assert_int_equal(0, rename(file, other));
    alarm(300);
    while (access(file, F_OK) != 0)
        trace(&settings, TRACE_INFO, "new");
    alarm(0);
    assert_traced("info new");
    text = read_text(other);
    assert_non_null(strstr(text, "info old\n"));
    free(text);
}

static void a_deleted_file_is_made_again_at_once(void **state)
{
    struct settings settings = settings_of(TRACE_INFO);

    (void)state;
    for (int time = 0; time < 3; time++) {
        trace(&settings, TRACE_INFO, "again");
        assert_traced("info again");
    }
}

static void *write_thread(void *context)
{
    for (int line = 0; line < 500; line++)
        trace(context, TRACE_INFO, "line=%d", line);
    return NULL;
}

static void no_line_of_several_threads_is_lost(void **state)
{
    enum { THREADS = 4 };
    struct settings settings = settings_of(TRACE_INFO);
    pthread_t threads[THREADS];
    int lines = 0;

    (void)state;
    for (int index = 0; index < THREADS; index++)
        pthread_create(&threads[index], NULL, write_thread, &settings);
    for (int index = 0; index < THREADS; index++)
        pthread_join(threads[index], NULL);
    for (char *text = read_text(file), *at = text; text; text = NULL) {
        for (; (at = strchr(at, '\n')); at++)
            lines++;
        free(text);
    }
    assert_int_equal(lines, THREADS * 500);
}

static void stderr_is_written_to_and_stays_open(void **state)
{
    struct settings settings = {.trace_file = (char[]){"stderr"}, .trace_level = TRACE_INFO};
    int before = dup(STDERR_FILENO), out = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    (void)state;
    assert_int_equal(dup2(out, STDERR_FILENO), STDERR_FILENO);
    trace(&settings, TRACE_INFO, "shown");
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    close(out);
    assert_traced("info shown");
}

static void write_many(const struct settings *settings)
{
    for (int line = 0; line < 200; line++)
        trace(settings, TRACE_INFO, "line=%d %0200d", line, 0);
    _exit(0);
}

static void lines_of_several_processes_do_not_mix(void **state)
{
    enum { PROCESSES = 4 };
    struct settings settings = settings_of(TRACE_INFO);
    int lines = 0, status;
    char *text, *rest, *line;
    size_t size = 0;

    (void)state;
    for (int process = 0; process < PROCESSES; process++)
        if (fork() == 0)
            write_many(&settings);
    for (int process = 0; process < PROCESSES; process++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    rest = text = read_text(file);
    while ((line = strsep(&rest, "\n")) && *line) {
        const char *end = strstr(line, "line=");

        assert_non_null(end);
        size = strlen(strchr(end, ' ') + 1);
        assert_int_equal(size, 200);
        lines++;
    }
    free(text);
    assert_int_equal(lines, PROCESSES * 200);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test-trace-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/trace.log", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    output = trace_output_new();
    return output ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    trace_output_free(output);
    snprintf(file, sizeof(file), "%s/trace.log", folder);
    unlink(file);
    unlink(other);
    return rmdir(folder);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_line_has_time_process_thread_level_and_text),
            TEST(lines_are_appended),
            TEST(a_level_holds_what_is_graver_and_no_more),
            TEST(without_a_file_nothing_is_written),
            TEST(what_comes_from_outside_begins_no_line_and_moves_no_cursor),
            TEST(a_long_text_is_one_line),
            TEST(a_new_file_is_for_its_owner_alone),
            TEST(a_symbolic_link_is_not_followed),
            TEST(a_place_that_cannot_be_written_is_ignored),
            TEST(a_pipe_that_nobody_reads_stops_nobody),
            TEST(a_full_pipe_as_standard_error_stops_nobody),
            TEST(a_pipe_as_standard_error_without_a_reader_kills_nobody),
            TEST(errno_stays_as_it_was),
            TEST(the_descriptor_that_is_kept_is_not_inherited_and_is_closed_in_the_end),
            TEST(without_room_to_keep_it_the_file_is_opened_for_each_line),
            TEST(a_file_of_the_program_that_has_the_number_now_gets_no_line),
            TEST(the_trace_is_never_standard_output),
            TEST(after_the_file_was_renamed_there_is_a_new_one),
            TEST(a_deleted_file_is_made_again_at_once),
            TEST(no_line_of_several_threads_is_lost),
            TEST(stderr_is_written_to_and_stays_open),
            TEST(lines_of_several_processes_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
