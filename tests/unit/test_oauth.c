/* SPDX-License-Identifier: Apache-2.0 */
/* CLI profiles of mode OAuth: which requests are made, and what happens to config.json. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "base/deadline.h"
#include "base/process.h"
#include "cloud/credentials/search.h"
#include "folder.h"
#include "http_double.h"

/* Every token and secret begins like one of these, and must be in no message. */
#define REFRESH_TOKEN "refresh-T0ken-0123456789"
#define ACCESS_TOKEN "access-T0ken-0123456789"
#define SECRET "S3cret"

#define CN "https://oauth.aliyun.com"
#define INTL "https://oauth.alibabacloud.com"

enum { MINUTE_MS = 60 * 1000 };

static char home[] = "/tmp/test-oauth-XXXXXX";
static char config[128], new_config[128];

/* The service's answers, and what it was asked, shared with forked processes. */
static struct service {
    atomic_int tokens_asked, exchanges_asked;
    int token_status;
    char token_answer[1024], exchange_answer[1024];
    int exchange_status;
    char url[256], body[1024], headers[1024];
    char config_at_exchange[4096];
    off_t reserved; /* size of the new file when the token was spent; -1: there was none */
    void (*meanwhile)(void);
    int kill_at_token, kill_at_exchange;
    int expect_another;
    atomic_int exiting;
    pid_t child_that_stays;
    int64_t connect_timeout_ms, answer_ms; /* that the last refresh was given */
} * service;

static char *read_text(const char *path, char *text, size_t size)
{
    FILE *stream = fopen(path, "r");
    size_t length;

    assert_non_null(stream);
    length = fread(text, 1, size - 1, stream);
    text[length] = '\0';
    fclose(stream);
    return text;
}

static void note_request(const struct http_request *request)
{
    snprintf(service->url, sizeof(service->url), "%s", request->url);
    snprintf(service->body, sizeof(service->body), "%.*s", (int)request->body_size, request->body);
    service->headers[0] = '\0';
    for (const char *const *line = request->headers; *line; line++) {
        strcat(service->headers, *line);
        strcat(service->headers, "\n");
    }
}

static int answer_token(struct http_answer *answer, struct aliyun_iot_error **error)
{
    struct stat status;

    service->reserved = stat(new_config, &status) == 0 ? status.st_size : -1;
    if (service->kill_at_token)
        raise(SIGKILL);
    /* Without a lock, another process would ask at this time. */
    for (int wait = 0; service->expect_another && wait < 50 && service->tokens_asked < 2; wait++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    if (service->meanwhile)
        service->meanwhile();
    if (!http_answer_with(answer, service->token_answer, error))
        return 0;
    answer->status = service->token_status;
    return 1;
}

int http_exchange(struct http_client *client, const struct http_request *request,
        struct http_answer *answer, struct aliyun_iot_error **error)
{
    (void)client;
    assert_string_equal(request->method, "POST");
    assert_false(request->plain_http_allowed);
    note_request(request);
    if (strstr(request->url, "/v1/token")) {
        service->tokens_asked++;
        service->connect_timeout_ms = request->connect_timeout_ms;
        service->answer_ms = deadline_left_ms(request->deadline);
        assert_true(request->new_connection);
        return answer_token(answer, error);
    }
    service->exchanges_asked++;
    read_text(config, service->config_at_exchange, sizeof(service->config_at_exchange));
    if (service->kill_at_exchange)
        raise(SIGKILL);
    if (!http_answer_with(answer, service->exchange_answer, error))
        return 0;
    answer->status = service->exchange_status;
    return 1;
}

static void write_text(const char *path, const char *text)
{
    FILE *stream = fopen(path, "w");

    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(0, fclose(stream));
}

/* What the tests change in the profile. NULL: the usual. */
struct profile {
    const char *site, *refresh_token, *access_token;
    int token_seconds, key_seconds; /* until they expire */
};

#define PROFILE(...) (&(struct profile){__VA_ARGS__})

static const char *or_default(const char *text, const char *standard)
{
    return text ? text : standard;
}

/* Odd on purpose: nothing of it may change but the seven keys. */
#define BEFORE                                                                                     \
    "{\n\t\"current\": \"work\", \"id\": 12345678901234567890, \"e\": 1.0E+2,\n\t\"profiles\": "   \
    "[\n"                                                                                          \
    "\t{\"name\":\"other\",\"mode\":\"AK\",\"access_key_id\":\"id-other\","                        \
    "\"oauth_refresh_token\":\"of-another-profile\"},\n\t\t{ \"name\" : \"work\",\n\t\t"           \
    "\"mode\" : \"OAuth\", \"unknown\": [1, {\"sts_token\": \"\\u00e9 \\\"}]\"}, null, -0],\n\t\t"
#define AFTER                                                                                      \
    "\n\t\t\"region_id\" : \"cn-shanghai\" } ], \"profiles_\" : {}  , \"meta_path\":\"\"\n}\n \n"

static void write_profile(const struct profile *profile)
{
    char text[4096];

    snprintf(text, sizeof(text),
            BEFORE "\"oauth_site_type\" : \"%s\", \"oauth_refresh_token\" : \"%s\", "
                   "\"oauth_access_token\" : \"%s\", \"oauth_access_token_expire\" : %lld, "
                   "\"access_key_id\" : \"STS.cached\", \"access_key_secret\" : \"" SECRET "\", "
                   "\"sts_token\" : \"cached\", \"sts_expiration\" : %lld," AFTER,
            or_default(profile->site, "CN"), or_default(profile->refresh_token, REFRESH_TOKEN "-1"),
            or_default(profile->access_token, ACCESS_TOKEN "-1"),
            (long long)time(NULL) + profile->token_seconds,
            (long long)time(NULL) + profile->key_seconds);
    write_text(config, text);
}

/* The file is as write_profile() left it, with other values. */
static void assert_config(const char *refresh_token, const char *access_token, const char *id)
{
    char text[4096], expected[1024];
    const char *middle;
    size_t size;

    read_text(config, text, sizeof(text));
    assert_memory_equal(text, BEFORE, strlen(BEFORE));
    assert_true(strlen(text) > strlen(AFTER));
    assert_string_equal(text + strlen(text) - strlen(AFTER), AFTER);
    middle = text + strlen(BEFORE);
    snprintf(expected, sizeof(expected),
            "\"oauth_site_type\" : \"CN\", \"oauth_refresh_token\" : \"%s\", "
            "\"oauth_access_token\" : \"%s\", \"oauth_access_token_expire\" : ",
            refresh_token, access_token);
    assert_memory_equal(middle, expected, strlen(expected));
    middle += strlen(expected);
    size = strspn(middle, "0123456789");
    assert_int_equal(size, 10);
    snprintf(expected, sizeof(expected), ", \"access_key_id\" : \"%s\", ", id);
    assert_memory_equal(middle + size, expected, strlen(expected));
}

static void assert_no_leftovers(void)
{
    assert_int_equal(-1, access(new_config, F_OK));
}

static struct credentials *find_within(
        int64_t milliseconds, const struct credentials *rejected, struct aliyun_iot_error **error)
{
    static char file[] = "/etc/test.conf";
    struct settings settings = {.file = file, .timeout_ms = 1000, .connect_timeout_ms = 1000};
    const struct credentials_search search = {.settings = &settings,
            .deadline = monotonic_milliseconds() + milliseconds,
            .rejected = rejected};

    return credentials_from_cli_profile(&search, error);
}

static void assert_found(const char *id)
{
    struct aliyun_iot_error *error = NULL;
    struct credentials *found = find_within(MINUTE_MS, NULL, &error);

    if (!found)
        fail_msg("%s", aliyun_iot_error_message(error));
    assert_string_equal(found->access_key_id, id);
    assert_int_equal(0, strncmp(found->access_key_secret, SECRET, strlen(SECRET)));
    assert_non_null(found->security_token);
    assert_true(found->expiration_s > time(NULL));
    credentials_free(found);
}

static void assert_fails(const char *phrase)
{
    struct aliyun_iot_error *error = NULL;

    assert_null(find_within(100, NULL, &error));
    assert_non_null(error);
    assert_null(strstr(aliyun_iot_error_message(error), "T0ken"));
    assert_null(strstr(aliyun_iot_error_message(error), SECRET));
    assert_error(error, ALIYUN_IOT_REASON_NO_CREDENTIALS, phrase);
    assert_no_leftovers();
}

static void assert_asked(int tokens, int exchanges)
{
    assert_int_equal(tokens, service->tokens_asked);
    assert_int_equal(exchanges, service->exchanges_asked);
}

static void a_cached_access_key_is_used_without_a_request(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 3000, .key_seconds = 400));
    assert_found("STS.cached");
    assert_asked(0, 0);
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-1", "STS.cached");
}

static void an_access_key_that_expires_soon_is_exchanged_anew(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 3000, .key_seconds = 290));
    assert_found("STS.new");
    assert_asked(0, 1);
    assert_string_equal(service->url, CN "/v1/exchange");
    assert_string_equal(service->body, "");
    assert_non_null(strstr(service->headers, "Content-Type: application/json\n"));
    assert_non_null(strstr(service->headers, "Authorization: Bearer " ACCESS_TOKEN "-1\n"));
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-1", "STS.new");
    assert_no_leftovers();
    /* The next process need not ask. */
    assert_found("STS.new");
    assert_asked(0, 1);
}

static void an_access_key_that_the_service_rejected_is_not_used_again(void **state)
{
    struct credentials *cached, *found;

    (void)state;
    write_profile(PROFILE(.token_seconds = 3000, .key_seconds = 3000));
    cached = find_within(MINUTE_MS, NULL, NULL);
    assert_string_equal(cached->access_key_id, "STS.cached");
    found = find_within(MINUTE_MS, cached, NULL);
    assert_string_equal(found->access_key_id, "STS.new");
    credentials_free(cached);
    credentials_free(found);
}

static void an_access_token_with_twenty_minutes_left_is_refreshed_first(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 1260));
    assert_found("STS.new");
    assert_asked(0, 1);
    write_profile(PROFILE(.token_seconds = 1200));
    assert_found("STS.new");
    assert_asked(1, 2);
    assert_non_null(strstr(service->headers, "Bearer " ACCESS_TOKEN "-2\n"));
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.new");
    assert_no_leftovers();
}

static void look_at_token_request(void)
{
    assert_string_equal(service->url, INTL "/v1/token");
    assert_non_null(strstr(service->headers, "Content-Type: application/x-www-form-urlencoded\n"));
    assert_null(strstr(service->headers, "Authorization"));
    assert_int_equal(0, strncmp(service->body,
                                "grant_type=refresh_token&refresh_token=a%2Bb%2Fc%3D&"
                                "client_id=4103531455503354461&Timestamp=20",
                                91));
}

static void each_site_has_its_service_and_its_client(void **state)
{
    (void)state;
    write_profile(PROFILE(.site = "INTL", .refresh_token = "a+b/c=", .token_seconds = 0));
    service->meanwhile = look_at_token_request;
    assert_found("STS.new");
    assert_string_equal(service->url, INTL "/v1/exchange");
    write_profile(PROFILE(.site = "US"));
    assert_fails("oauth_site_type must be CN or INTL");
}

static void without_an_access_token_it_is_refreshed_too(void **state)
{
    (void)state;
    write_profile(PROFILE(.access_token = "", .token_seconds = 3000));
    assert_found("STS.new");
    assert_asked(1, 1);
    write_profile(PROFILE(.access_token = "", .refresh_token = ""));
    assert_fails("\"aliyun configure --mode OAuth --profile work\": the profile has no token");
}

static void new_tokens_are_in_the_file_before_anything_else_is_asked(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->exchange_status = 500;
    assert_fails("HTTP status 500");
    assert_non_null(strstr(service->config_at_exchange, REFRESH_TOKEN "-2"));
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.cached");
}

static void the_new_file_exists_before_the_token_is_spent(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    assert_found("STS.new");
    assert_true(service->reserved > HTTP_ANSWER_MAX_BYTES);
}

static void a_lifetime_or_a_refresh_token_may_be_missing(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    strcpy(service->token_answer, "{\"access_token\":\"" ACCESS_TOKEN "-2\"}");
    assert_found("STS.new");
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-2", "STS.new");
    write_profile(PROFILE(.token_seconds = 0));
    strcpy(service->token_answer, "{\"refresh_token\":\"" REFRESH_TOKEN "-2\"}");
    assert_fails("the answer has no access token");
}

/* As a user for whom a folder's mode counts. */
static void without_write_permission(void (*run)(void))
{
    char folder[128];
    bool root = geteuid() == 0;

    snprintf(folder, sizeof(folder), "%s/.aliyun", home);
    if (root) {
        assert_int_equal(0, chmod(home, 0755));
        assert_int_equal(0, chown(config, 65534, 65534));
        assert_int_equal(0, seteuid(65534));
    } else {
        assert_int_equal(0, chmod(folder, 0500));
    }
    run();
    if (root)
        assert_int_equal(0, seteuid(0));
    assert_int_equal(0, chmod(folder, 0700));
}

static void refresh_in_a_read_only_folder(void)
{
    assert_fails("the login cannot be refreshed: ");
    assert_fails("Permission denied");
}

static void exchange_in_a_read_only_folder(void)
{
    assert_found("STS.new");
}

static void make_folder_readable(void)
{
    char folder[128];

    snprintf(folder, sizeof(folder), "%s/.aliyun", home);
    assert_int_equal(0, chmod(folder, 0755));
}

static void a_folder_that_cannot_be_written_costs_no_token(void **state)
{
    (void)state;
    make_folder_readable();
    write_profile(PROFILE(.token_seconds = 0));
    without_write_permission(refresh_in_a_read_only_folder);
    assert_asked(0, 0);
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-1", "STS.cached");
}

static void a_folder_that_cannot_be_written_is_no_fault_while_no_token_is_due(void **state)
{
    (void)state;
    make_folder_readable();
    write_profile(PROFILE(.token_seconds = 3000));
    without_write_permission(exchange_in_a_read_only_folder);
    assert_asked(0, 1);
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-1", "STS.cached");
}

static void a_lack_of_space_costs_no_token(void **state)
{
    struct rlimit old, small;

    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &old));
    small = (struct rlimit){.rlim_cur = 64 * 1024, .rlim_max = old.rlim_max};
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &small));
    assert_fails("there is no room for a new file: File too large");
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &old));
    assert_asked(0, 0);
}

static void mode_owner_and_symbolic_links_stay(void **state)
{
    char target[128];
    struct stat before, after, link;

    (void)state;
    snprintf(target, sizeof(target), "%s/real.json", home);
    write_profile(PROFILE(.token_seconds = 0));
    assert_int_equal(0, rename(config, target));
    assert_int_equal(0, symlink("../real.json", config));
    if (geteuid() == 0)
        assert_int_equal(0, chown(target, 65534, 65533));
    assert_int_equal(0, chmod(target, 0640));
    assert_int_equal(0, stat(target, &before));
    assert_found("STS.new");
    assert_int_equal(0, lstat(config, &link));
    assert_true(S_ISLNK(link.st_mode));
    assert_int_equal(0, stat(target, &after));
    assert_int_equal(before.st_mode, after.st_mode);
    assert_int_equal(before.st_uid, after.st_uid);
    assert_int_equal(before.st_gid, after.st_gid);
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.new");
    /* Root does not lock the owner out. */
    snprintf(target, sizeof(target), "%s/real.json.lock", home);
    assert_int_equal(0, stat(target, &after));
    assert_int_equal(before.st_uid, after.st_uid);
}

static void refuse_token(const char *answer)
{
    service->token_status = 400;
    strcpy(service->token_answer, answer);
}

static void a_refused_token_needs_a_login_and_is_in_no_message(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    refuse_token("{\"error\":\"invalid_grant\",\"error_description\":\"The refresh token "
                 "'" REFRESH_TOKEN "-1' (" REFRESH_TOKEN ") is\\r\\ninvalid.\"}");
    assert_fails("CLI profile work (");
    assert_fails("log in again by \"aliyun configure --mode OAuth --profile work\": HTTP status "
                 "400, invalid_grant: The refresh token '***' (***) is??invalid.");
    refuse_token("{\"error\":\"invalid_grant\",\"error_description\":\"unknown T0ken-01234567, or "
                 "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdGFuZC1pbiJ9.T0ken\"}");
    assert_fails("invalid_grant: unknown ***, or ***");
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-1", "STS.cached");
}

static void another_error_of_the_service_is_shown_without_advice_to_log_in(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    refuse_token("{\"error\":\"temporarily_unavailable\"}");
    assert_fails("): the login cannot be refreshed: HTTP status 400, temporarily_unavailable");
    refuse_token("<html>" REFRESH_TOKEN "-1</html>");
    assert_fails("): the login cannot be refreshed: HTTP status 400");
    service->token_status = 200;
    assert_fails("the answer is unusable: it is not JSON");
}

static void an_access_token_that_is_refused_needs_a_login(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 3000));
    service->exchange_status = 400;
    strcpy(service->exchange_answer,
            "{\"error\":\"expired_token\",\"error_description\":\"" ACCESS_TOKEN "-1 expired\"}");
    assert_fails("--profile work\": HTTP status 400, expired_token: *** expired");
    service->exchange_status = 401;
    strcpy(service->exchange_answer, " ");
    assert_fails("--profile work\": HTTP status 401");
}

static void log_in_anew(void)
{
    service->meanwhile = NULL;
    write_profile(PROFILE(.refresh_token = REFRESH_TOKEN "-7", .access_token = ACCESS_TOKEN "-7",
            .token_seconds = 3000));
}

static void spend_elsewhere(void)
{
    service->meanwhile = NULL;
    write_profile(PROFILE(.refresh_token = REFRESH_TOKEN "-7", .token_seconds = 0));
}

static void after_invalid_grant_the_file_is_read_again_once(void **state)
{
    (void)state;
    /* The CLI has written tokens that are good. */
    write_profile(PROFILE(.token_seconds = 0));
    refuse_token("{\"error\":\"invalid_grant\"}");
    service->meanwhile = log_in_anew;
    assert_found("STS.new");
    assert_asked(1, 1);
    assert_config(REFRESH_TOKEN "-7", ACCESS_TOKEN "-7", "STS.new");
    /* It has written a token that is refused as well. */
    write_profile(PROFILE(.token_seconds = 0));
    service->meanwhile = spend_elsewhere;
    assert_fails("invalid_grant");
    assert_asked(3, 1);
}

static void a_newer_login_is_not_overwritten(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->meanwhile = log_in_anew;
    assert_found("STS.new");
    assert_config(REFRESH_TOKEN "-7", ACCESS_TOKEN "-7", "STS.new");
    assert_non_null(strstr(service->headers, "Bearer " ACCESS_TOKEN "-7\n"));
}

/* A child that searches, and ends with status 0 if it finds something. */
static pid_t start_search(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct credentials *found = find_within(MINUTE_MS, NULL, NULL);

        credentials_free(found);
        _exit(found ? 0 : 1);
    }
    assert_true(child > 0);
    return child;
}

static int end_of(pid_t child)
{
    int status;

    assert_int_equal(child, waitpid(child, &status, 0));
    return status;
}

static void a_killed_process_leaves_a_whole_file_and_no_lock(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->kill_at_token = 1;
    assert_int_equal(SIGKILL, WTERMSIG(end_of(start_search())));
    assert_config(REFRESH_TOKEN "-1", ACCESS_TOKEN "-1", "STS.cached");
    assert_int_equal(0, access(new_config, F_OK));
    service->kill_at_token = 0;
    service->kill_at_exchange = 1;
    assert_int_equal(SIGKILL, WTERMSIG(end_of(start_search())));
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.cached");
    service->kill_at_exchange = 0;
    assert_found("STS.new");
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.new");
    assert_no_leftovers();
}

static void two_processes_spend_the_token_once(void **state)
{
    pid_t first, second;

    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->expect_another = 1;
    first = start_search();
    second = start_search();
    assert_int_equal(0, end_of(first));
    assert_int_equal(0, end_of(second));
    assert_asked(1, 1);
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.new");
}

static void a_lock_is_waited_for_until_the_deadline(void **state)
{
    char path[160];
    int lock;

    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    snprintf(path, sizeof(path), "%s.lock", config);
    write_text(path, "");
    lock = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(0, flock(lock, LOCK_EX));
    assert_fails("config.json.lock: another process has held the lock for too long");
    assert_asked(0, 0);
    close(lock);
    assert_found("STS.new");
}

static pid_t forked_meanwhile;

static void fork_a_child_that_stays(void)
{
    forked_meanwhile = fork();
    if (forked_meanwhile == 0) {
        pause();
        _exit(0);
    }
}

static void a_child_forked_during_a_refresh_does_not_keep_the_lock(void **state)
{
    char path[160];
    int lock, locked;

    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->meanwhile = fork_a_child_that_stays;
    assert_found("STS.new");
    snprintf(path, sizeof(path), "%s.lock", config);
    lock = open(path, O_RDWR | O_CLOEXEC);
    locked = flock(lock, LOCK_EX | LOCK_NB);
    close(lock);
    kill(forked_meanwhile, SIGKILL);
    assert_int_equal(SIGKILL, WTERMSIG(end_of(forked_meanwhile)));
    assert_int_equal(0, locked);
}

static void a_refresh_connects_by_the_callers_deadline_and_then_has_time_for_the_answer(
        void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->token_status = 500;
    credentials_free(find_within(300, NULL, NULL));
    assert_true(service->connect_timeout_ms > 0 && service->connect_timeout_ms <= 300);
    assert_true(service->answer_ms > 5000);
    credentials_free(find_within(60000, NULL, NULL));
    assert_int_equal(service->connect_timeout_ms, 1000);
}

static void of_repeated_keys_the_last_is_used_and_changed(void **state)
{
    char text[4096];

    (void)state;
    write_text(config,
            "{\"current\":\"work\",\"profiles\":[{\"name\":\"work\",\"mode\":\"AK\",\"mode\":"
            "\"OAuth\","
            "\"oauth_refresh_token\":\"old\",\"oauth_refresh_token\":\"" REFRESH_TOKEN "-1\"}]}");
    assert_found("STS.new");
    read_text(config, text, sizeof(text));
    assert_non_null(strstr(text, "{\"name\":\"work\",\"mode\":\"AK\",\"mode\":\"OAuth\","
                                 "\"oauth_refresh_token\":\"old\",\"oauth_refresh_token\":"
                                 "\"" REFRESH_TOKEN "-2\","));
}

static void search_on_a_thread_of_the_library(void *unused)
{
    (void)unused;
    credentials_free(find_within(MINUTE_MS, NULL, NULL));
}

static void wait_for_exit_as_for_the_network(void)
{
    service->exiting = 1;
    while (!process_is_exiting())
        WAIT_OUTSIDE(sched_yield());
    WAIT_OUTSIDE(sched_yield());
}

static void a_process_that_ends_while_it_waits_for_new_tokens_keeps_them(void **state)
{
    pid_t child;

    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->meanwhile = wait_for_exit_as_for_the_network;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (process_start_thread(search_on_a_thread_of_the_library, NULL))
            while (!service->exiting)
                sched_yield();
        exit(0);
    }
    end_of(child);
    assert_int_equal(service->tokens_asked, 1);
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.cached");
}

static void fork_a_child_that_stays_and_die(void)
{
    int ends[2];
    char byte;
    pid_t child;

    assert_int_equal(0, pipe(ends));
    child = fork();
    if (child == 0) {
        close(ends[0]);
        close(ends[1]);
        pause();
        _exit(0);
    }
    service->child_that_stays = child;
    close(ends[1]);
    /* Until the child has run its handlers of fork(). */
    assert_int_equal(0, read(ends[0], &byte, 1));
    raise(SIGKILL);
}

static void a_child_of_a_killed_process_does_not_keep_the_lock(void **state)
{
    struct credentials *found;

    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->meanwhile = fork_a_child_that_stays_and_die;
    assert_int_equal(SIGKILL, WTERMSIG(end_of(start_search())));
    service->meanwhile = NULL;
    found = find_within(1000, NULL, NULL);
    kill(service->child_that_stays, SIGKILL);
    assert_non_null(found);
    credentials_free(found);
}

/* What another client is writing: a part of it now, and all of it at our third pause. */
static struct {
    char text[4096];
    int pauses; /* until then; 0: nobody is writing */
} other_client;

static void cut_file_short(void)
{
    service->meanwhile = NULL;
    read_text(config, other_client.text, sizeof(other_client.text));
    write_text(config, "{\"current\":");
    other_client.pauses = 3;
}

/* In place of the C library's, for the pauses of the product. */
int clock_nanosleep(
        clockid_t clock, int flags, const struct timespec *end, struct timespec *remaining)
{
    if (other_client.pauses > 0 && --other_client.pauses == 0)
        write_text(config, other_client.text);
    return syscall(SYS_clock_nanosleep, clock, flags, end, remaining) == 0 ? 0 : errno;
}

static void a_file_that_another_client_is_writing_does_not_lose_the_login(void **state)
{
    (void)state;
    write_profile(PROFILE(.token_seconds = 0));
    service->meanwhile = cut_file_short;
    assert_found("STS.new");
    assert_int_equal(0, other_client.pauses);
    assert_config(REFRESH_TOKEN "-2", ACCESS_TOKEN "-2", "STS.new");
}

static void keys_that_are_missing_are_added(void **state)
{
    static const char expected[] =
            "\xef\xbb\xbf{\"current\":\"work\",\"profiles\":[{\n  \"name\": \"work\",\n  "
            "\"mode\": \"OAuth\",\n  \"oauth_access_token\": \"" ACCESS_TOKEN
            "\",\n  \"access_key_id\": \"STS.new\",\n  \"access_key_secret\": \"" SECRET
            "-new\",\n  \"sts_token\": \"sts\\\"\\\\\",\n  \"sts_expiration\": 1";
    char text[4096];

    (void)state;
    write_text(config,
            "\xef\xbb\xbf{\"current\":\"work\",\"profiles\":[{\n  \"name\": \"work\",\n  \"mode\": "
            "\"OAuth\",\n  \"oauth_access_token\": \"" ACCESS_TOKEN "\"\n}]}");
    assert_found("STS.new");
    read_text(config, text, sizeof(text));
    assert_memory_equal(text, expected, strlen(expected));
    assert_string_equal(strchr(strstr(text, "sts_expiration"), '\n'), "\n}]}");
}

static int set_up(void **state)
{
    char folder[128];

    (void)state;
    strcpy(home, "/tmp/test-oauth-XXXXXX");
    assert_non_null(mkdtemp(home));
    snprintf(folder, sizeof(folder), "%s/.aliyun", home);
    assert_int_equal(0, mkdir(folder, 0700));
    snprintf(config, sizeof(config), "%s/.aliyun/config.json", home);
    snprintf(new_config, sizeof(new_config), "%s/.aliyun/config.json.new", home);
    assert_int_equal(0, setenv("HOME", home, 1));
    memset(service, 0, sizeof(*service));
    service->token_status = service->exchange_status = 200;
    strcpy(service->token_answer,
            "{\"access_token\":\"" ACCESS_TOKEN "-2\",\"refresh_token\":\"" REFRESH_TOKEN
            "-2\",\"expires_in\":3600,\"token_type\":\"Bearer\"}");
    snprintf(service->exchange_answer, sizeof(service->exchange_answer),
            "{\"accessKeyId\":\"STS.new\",\"accessKeySecret\":\"" SECRET
            "-new\",\"securityToken\":\"sts\\\"\\\\\",\"expiration\":\"%s\",\"requestId\":\"1\"}",
            answer_date_in(3000));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(home);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            TEST(a_cached_access_key_is_used_without_a_request),
            TEST(an_access_key_that_expires_soon_is_exchanged_anew),
            TEST(an_access_key_that_the_service_rejected_is_not_used_again),
            TEST(an_access_token_with_twenty_minutes_left_is_refreshed_first),
            TEST(each_site_has_its_service_and_its_client),
            TEST(without_an_access_token_it_is_refreshed_too),
            TEST(new_tokens_are_in_the_file_before_anything_else_is_asked),
            TEST(the_new_file_exists_before_the_token_is_spent),
            TEST(a_lifetime_or_a_refresh_token_may_be_missing),
            TEST(a_folder_that_cannot_be_written_costs_no_token),
            TEST(a_folder_that_cannot_be_written_is_no_fault_while_no_token_is_due),
            TEST(a_lack_of_space_costs_no_token),
            TEST(mode_owner_and_symbolic_links_stay),
            TEST(a_refused_token_needs_a_login_and_is_in_no_message),
            TEST(another_error_of_the_service_is_shown_without_advice_to_log_in),
            TEST(an_access_token_that_is_refused_needs_a_login),
            TEST(after_invalid_grant_the_file_is_read_again_once),
            TEST(a_newer_login_is_not_overwritten),
            TEST(a_killed_process_leaves_a_whole_file_and_no_lock),
            TEST(two_processes_spend_the_token_once),
            TEST(a_lock_is_waited_for_until_the_deadline),
            TEST(a_child_forked_during_a_refresh_does_not_keep_the_lock),
            TEST(a_refresh_connects_by_the_callers_deadline_and_then_has_time_for_the_answer),
            TEST(of_repeated_keys_the_last_is_used_and_changed),
            TEST(a_process_that_ends_while_it_waits_for_new_tokens_keeps_them),
            TEST(a_child_of_a_killed_process_does_not_keep_the_lock),
            TEST(a_file_that_another_client_is_writing_does_not_lose_the_login),
            TEST(keys_that_are_missing_are_added),
    };

    service =
            mmap(NULL, sizeof(*service), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (service == MAP_FAILED)
        return 1;
    unsetenv("ALIBABA_CLOUD_CONFIG_FILE");
    unsetenv("ALIBABA_CLOUD_PROFILE");
    unsetenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
