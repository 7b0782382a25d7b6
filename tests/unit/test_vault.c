/* SPDX-License-Identifier: Apache-2.0 */
/* The vault over a source that the test answers for, by a clock that the test sets. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/settings.h"
#include "folder.h"
#include "vault/entry.h"
#include "vault/files.h"
#include "vault/keys.h"
#include "vault/vault.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static char root[] = "/tmp/vault-XXXXXX";
static char path[64], key_file[64], key_source[80], elsewhere[64];
static char usual_account[] = "default", other_account[] = "other";
static struct settings settings = {.vault_path = path,
        .vault_key = key_source,
        .vault_ttl_ms = INT64_C(1000) * DAY_S,
        .vault_max_stale_ms = INT64_C(1000) * 30 * DAY_S,
        .quota_account = usual_account};
static const struct device device = {"cn-shanghai", "https://h", "product", "device", NULL};
static const struct device neighbour = {"cn-shanghai", "https://h", "product", "neighbour", NULL};

static int64_t moved_s; /* by which the clock differs from the machine's */
static int reports;

time_t time(time_t *place)
{
    struct timespec now;
    time_t seconds;

    clock_gettime(CLOCK_REALTIME, &now);
    seconds = now.tv_sec + moved_s;
    if (place)
        *place = seconds;
    return seconds;
}

/* It may be a macro, for _FORTIFY_SOURCE. */
#undef syslog
void syslog(int priority, const char *format, ...)
{
    (void)priority;
    (void)format;
    reports++;
}

/* What that macro calls. */
void __syslog_chk(int priority, int flag, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    (void)priority;
    (void)flag;
    (void)format;
    reports++;
}

static struct {
    int calls;
    enum aliyun_iot_reason failure; /* 0: success */
    bool is_freed;
} upstream;

static EVP_PKEY *key;
static long valid_for_s = 3 * 365 * DAY_S;

static struct aliyun_iot_identity *answer(struct source *source, const struct device *asked,
        bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    CLEANUP(certificates_free) STACK_OF(X509) *chain = sk_X509_new_null();

    (void)source;
    (void)background;
    (void)deadline;
    upstream.calls++;
    if (upstream.failure) {
        error_set(error, upstream.failure, "call %d", upstream.calls);
        return NULL;
    }
    assert_true(sk_X509_push(chain, pair_certificate(key, -60, valid_for_s)));
    return identity_new(chain, key, asked->device_name, NULL, error);
}

static void upstream_free(struct source *source)
{
    (void)source;
    upstream.is_freed = true;
}

static struct source upstream_source = {answer, upstream_free};

static struct source *open_vault(void)
{
    struct aliyun_iot_error *error = NULL;
    struct source *vault = vault_source_new(&settings, &upstream_source, NULL, &error);

    if (!vault)
        fail_msg("%s", aliyun_iot_error_message(error));
    return vault;
}

static void write_key(const char *file, unsigned char byte)
{
    unsigned char bytes[SEALING_KEY_SIZE];
    int descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    memset(bytes, byte, sizeof(bytes));
    assert_int_equal(write(descriptor, bytes, sizeof(bytes)), sizeof(bytes));
    close(descriptor);
}

static struct sealing_key key_of(unsigned char byte)
{
    struct sealing_key made;

    memset(made.bytes, byte, sizeof(made.bytes));
    assert_int_equal(1, sealing_key_identify(&made, NULL));
    return made;
}

/* A key file of its own for each, in a place of the test's folder. */
static struct key_source source_of(unsigned char byte)
{
    static char texts[10][80];
    char *text = texts[byte];

    snprintf(text, sizeof(texts[0]), "file:%s/key-%d", root, byte);
    write_key(text + strlen("file:"), byte);
    return (struct key_source){text, &settings, NULL};
}

static int make_vault(void **state)
{
    const struct key_source made = source_of(1);
    int folder;

    (void)state;
    write_key(key_file, 1);
    upstream.calls = upstream.failure = 0;
    moved_s = 0;
    reports = 0;
    assert_null(files_create(path, &folder));
    assert_int_equal(1, vault_keys_create(folder, path, &made, NULL));
    files_close(&folder);
    return 0;
}

static int remove_vault(void **state)
{
    (void)state;
    return folder_remove(path);
}

/* Asks a vault that was opened for this alone, as a process does. */
static bool ask(const struct device *asked, bool background)
{
    CLEANUP(source_free) struct source *vault = open_vault();
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity =
            vault->fetch(vault, asked, background, monotonic_milliseconds() + 1000, &error);
    bool got = identity != NULL;

    if (got)
        assert_string_equal(aliyun_iot_identity_serial_number(identity), asked->device_name);
    assert_true(got == !error);
    aliyun_iot_error_free(error);
    aliyun_iot_identity_free(identity);
    return got;
}

static void what_was_fetched_once_needs_no_cloud(void **state)
{
    (void)state;
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 1);
    assert_true(upstream.is_freed);
    upstream.failure = ALIYUN_IOT_REASON_UNREACHABLE;
    for (int process = 0; process < 3; process++)
        assert_true(ask(&device, false));
    assert_false(ask(&neighbour, false));
    assert_int_equal(upstream.calls, 2);
    assert_int_equal(reports, 0);
}

static void devices_that_differ_in_anything_have_entries_of_their_own(void **state)
{
    const struct device others[] = {
            {"ap-southeast-1", "https://h", "product", "device", NULL},
            {"cn-shanghai", "https://h", "produc", "tdevice", NULL},
            {"cn-shanghai", "https://h", "product", "device", "instance"},
    };

    (void)state;
    assert_true(ask(&device, false));
    for (size_t index = 0; index < sizeof(others) / sizeof(others[0]); index++) {
        assert_true(ask(&others[index], false));
        assert_true(ask(&others[index], false));
        assert_int_equal(upstream.calls, 2 + index);
    }
    settings.quota_account = other_account;
    assert_true(ask(&device, false));
    settings.quota_account = usual_account;
    assert_int_equal(upstream.calls, 5);
}

static void what_is_older_than_ttl_is_served_but_refreshed_behind(void **state)
{
    (void)state;
    assert_true(ask(&device, false));
    moved_s = DAY_S - 10;
    assert_true(ask(&device, true));
    assert_int_equal(upstream.calls, 1);
    moved_s = DAY_S + 10;
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 1);
    assert_true(ask(&device, true));
    assert_int_equal(upstream.calls, 2);
    assert_true(ask(&device, true));
    assert_int_equal(upstream.calls, 2);
}

static void what_is_older_than_max_stale_is_fetched_anew(void **state)
{
    (void)state;
    assert_true(ask(&device, false));
    moved_s = 31 * DAY_S - 10;
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 1);
    moved_s = 31 * DAY_S + 10;
    upstream.failure = ALIYUN_IOT_REASON_UNREACHABLE;
    assert_false(ask(&device, false));
    upstream.failure = 0;
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 3);
}

static void a_clock_that_was_set_back_hurts_nobody(void **state)
{
    (void)state;
    moved_s = DAY_S / 4;
    valid_for_s = DAY_S;
    assert_true(ask(&device, false));
    valid_for_s = 3 * 365 * DAY_S;
    moved_s = DAY_S / 4 - 30;
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 1);
    assert_true(ask(&device, true));
    assert_int_equal(upstream.calls, 2);
}

static void an_expired_certificate_is_not_served(void **state)
{
    (void)state;
    valid_for_s = HOUR_S;
    assert_true(ask(&device, false));
    valid_for_s = 3 * 365 * DAY_S;
    moved_s = HOUR_S + 10;
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 2);
}

static void what_is_gone_or_forbidden_is_removed_and_other_failures_keep_it(void **state)
{
    static const enum aliyun_iot_reason passing[] = {ALIYUN_IOT_REASON_UNREACHABLE,
            ALIYUN_IOT_REASON_TIMEOUT, ALIYUN_IOT_REASON_THROTTLED, ALIYUN_IOT_REASON_SERVICE,
            ALIYUN_IOT_REASON_BAD_CREDENTIALS, ALIYUN_IOT_REASON_NO_CREDENTIALS};
    static const enum aliyun_iot_reason final[] = {
            ALIYUN_IOT_REASON_NOT_FOUND, ALIYUN_IOT_REASON_REFUSED};

    (void)state;
    assert_true(ask(&device, false));
    for (size_t index = 0; index < sizeof(passing) / sizeof(passing[0]); index++) {
        upstream.failure = passing[index];
        moved_s = DAY_S + 10;
        assert_false(ask(&device, true));
        assert_true(ask(&device, false));
    }
    for (size_t index = 0; index < sizeof(final) / sizeof(final[0]); index++) {
        moved_s = DAY_S + 10;
        upstream.failure = final[index];
        assert_false(ask(&device, true));
        upstream.failure = ALIYUN_IOT_REASON_UNREACHABLE;
        assert_false(ask(&device, false));
        moved_s = 0;
        upstream.failure = 0;
        assert_true(ask(&device, false));
    }
}

static void path_of(const struct device *of, char entry_path[200])
{
    CLEANUP(BUF_MEM_free) BUF_MEM *names = BUF_MEM_new();
    const struct entry_names all = entry_names_of(settings.quota_account, of);
    char name[ENTRY_FILE_NAME_SIZE];

    assert_true(entry_names_write(&all, names));
    assert_int_equal(
            1, entry_file_name((struct bytes){(const unsigned char *)names->data, names->length},
                       name, NULL));
    snprintf(entry_path, 200, "%s/%.2s/%s", path, name, name);
}

static size_t count_set_aside(void)
{
    int folder;
    size_t count;

    assert_null(files_open(path, &folder));
    count = files_count_set_aside(folder);
    files_close(&folder);
    return count;
}

static void a_file_of_another_device_is_set_aside_and_fetched_again(void **state)
{
    char one[200], two[200];

    (void)state;
    path_of(&device, one);
    path_of(&neighbour, two);
    assert_true(ask(&device, false));
    assert_true(ask(&neighbour, false));
    assert_int_equal(0, rename(one, elsewhere));
    assert_int_equal(0, rename(two, one));
    assert_int_equal(0, rename(elsewhere, two));
    assert_true(ask(&device, false));
    assert_true(ask(&neighbour, false));
    assert_int_equal(upstream.calls, 4);
    assert_int_equal(count_set_aside(), 2);
    assert_int_equal(reports, 2);
    assert_true(ask(&device, false));
    assert_true(ask(&neighbour, false));
    assert_int_equal(upstream.calls, 4);
    assert_int_equal(reports, 2);
}

static long size_of(const char *file)
{
    struct stat status;

    assert_int_equal(0, stat(file, &status));
    return (long)status.st_size;
}

static void flip(const char *file, long at)
{
    int descriptor = open(file, O_RDWR | O_CLOEXEC);
    unsigned char byte;

    assert_int_equal(1, pread(descriptor, &byte, 1, at));
    byte ^= 0x10;
    assert_int_equal(1, pwrite(descriptor, &byte, 1, at));
    close(descriptor);
}

static void a_damaged_file_is_set_aside_and_fetched_again(void **state)
{
    char entry_path[200];

    (void)state;
    path_of(&device, entry_path);
    assert_true(ask(&device, false));
    for (long at = 0; at < size_of(entry_path); at += 13) {
        int calls = upstream.calls, before = reports;

        flip(entry_path, at);
        assert_true(ask(&device, false));
        assert_int_equal(upstream.calls, calls + 1);
        assert_int_equal(reports, before + 1);
        assert_int_equal(count_set_aside(), 1);
    }
    for (int size = 0; size < 200; size += 7) {
        int calls = upstream.calls;

        assert_int_equal(0, truncate(entry_path, size));
        assert_true(ask(&device, false));
        assert_int_equal(upstream.calls, calls + 1);
    }
}

static void a_file_from_another_vault_is_set_aside(void **state)
{
    const struct key_source other = source_of(9);
    char entry_path[200];
    int folder;

    (void)state;
    path_of(&device, entry_path);
    assert_true(ask(&device, false));
    assert_int_equal(0, rename(entry_path, elsewhere));
    assert_int_equal(0, folder_remove(path));
    assert_null(files_create(path, &folder));
    assert_int_equal(1, vault_keys_create(folder, path, &other, NULL));
    files_close(&folder);
    write_key(key_file, 9);
    assert_true(ask(&neighbour, false));
    assert_true(ask(&device, false));
    assert_int_equal(0, rename(elsewhere, entry_path));
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 4);
    assert_int_equal(count_set_aside(), 1);
}

static void a_vault_that_cannot_be_written_serves_from_the_cloud(void **state)
{
    CLEANUP(source_free) struct source *vault = open_vault();
    struct aliyun_iot_identity *identity;

    (void)state;
    assert_int_equal(0, chmod(path, 0755));
    identity = vault->fetch(vault, &device, false, monotonic_milliseconds() + 1000, NULL);
    assert_non_null(identity);
    aliyun_iot_identity_free(identity);
    assert_true(reports > 0);
    assert_int_equal(0, chmod(path, 0700));
}

static void assert_no_vault(const char *phrase)
{
    struct aliyun_iot_error *error = NULL;

    upstream.is_freed = false;
    assert_null(vault_source_new(&settings, &upstream_source, NULL, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, phrase);
    assert_true(upstream.is_freed);
}

static void a_key_that_is_not_the_vaults_is_an_error_and_no_damage(void **state)
{
    (void)state;
    assert_true(ask(&device, false));
    write_key(key_file, 2);
    assert_no_vault("is sealed with key");
    write_key(key_file, 1);
    assert_true(ask(&device, false));
    assert_int_equal(upstream.calls, 1);
    assert_int_equal(count_set_aside(), 0);
}

static void a_key_file_must_be_the_users_own_and_whole(void **state)
{
    (void)state;
    assert_int_equal(0, chmod(key_file, 0640));
    assert_no_vault("others may read or change it; chmod it to 0600");
    assert_int_equal(0, chmod(key_file, 0600));
    assert_int_equal(0, truncate(key_file, 31));
    assert_no_vault("it must have 32 bytes");
    assert_int_equal(0, truncate(key_file, 33));
    assert_no_vault("it must have 32 bytes");
    assert_int_equal(0, unlink(key_file));
    assert_no_vault("No such file or directory");
    assert_int_equal(0, symlink("/dev/zero", key_file));
    assert_no_vault("it is a symbolic link");
    assert_int_equal(0, unlink(key_file));
    assert_int_equal(0, mkfifo(key_file, 0600));
    assert_no_vault("it is no regular file");
    assert_int_equal(0, unlink(key_file));
    write_key(key_file, 1);
    if (geteuid() == 0) {
        assert_int_equal(0, chown(key_file, 12345, 0));
        assert_no_vault("it belongs to another user");
        assert_int_equal(0, unlink(key_file));
    }
}

static void systemd_gives_the_key_as_a_credential(void **state)
{
    (void)state;
    snprintf(key_source, sizeof(key_source), "systemd:key");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_no_vault("systemd gave this process no credentials");
    setenv("CREDENTIALS_DIRECTORY", root, 1);
    /* As an access control list for the unit's user shows. */
    assert_int_equal(0, chmod(key_file, 0440));
    assert_true(ask(&device, false));
    assert_int_equal(0, chmod(key_file, 0444));
    assert_no_vault("others may read or change it");
    unsetenv("CREDENTIALS_DIRECTORY");
    snprintf(key_source, sizeof(key_source), "file:%s", key_file);
    assert_int_equal(0, unlink(key_file));
}

static void write_keys_file(const char *text)
{
    int folder;

    assert_null(files_open(path, &folder));
    assert_null(files_write(folder, FILES_KEYS, text, strlen(text)));
    files_close(&folder);
}

static void a_file_of_keys_that_is_damaged_is_an_error(void **state)
{
    static const char *const texts[] = {"", "\n", "aliyun-iot-vault 2\nkey 1\n",
            "aliyun-iot-vault 1\n", "aliyun-iot-vault 1\nkey 1",
            "aliyun-iot-vault 1\nkey 1\nkey 1\n", "aliyun-iot-vault 1\nkey 1\nnext 2\n",
            "aliyun-iot-vault 1\nkey 1\nother 2\n", "aliyun-iot-vault 1\nkey 1\n\nnext"};

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        write_keys_file(texts[index]);
        assert_no_vault("/keys is damaged, or of a later version of this program");
    }
}

static void a_folder_without_its_file_of_keys_is_no_vault_yet(void **state)
{
    char file[80];

    (void)state;
    snprintf(file, sizeof(file), "%s/" FILES_KEYS, path);
    assert_int_equal(0, unlink(file));
    assert_no_vault("is no vault yet; make it one with: aliyun-iot vault init");
    assert_int_equal(0, folder_remove(path));
    assert_no_vault("No such file or directory; aliyun-iot vault init makes one");
    assert_int_equal(0, mkdir(path, 0700));
}

static void begin_change(unsigned char from, unsigned char to)
{
    const struct sealing_key older = key_of(from);
    const struct key_source next = source_of(to);
    int folder;

    assert_null(files_open(path, &folder));
    for (int time = 0; time < 2; time++) {
        CLEANUP(vault_keys_free)
        struct vault_keys *keys = vault_keys_begin_change(folder, path, &older, &next, NULL);

        assert_non_null(keys);
        assert_true(keys->has_older);
    }
    files_close(&folder);
}

static void while_the_key_changes_whoever_has_either_reads_all_entries(void **state)
{
    struct source *before = open_vault();
    const struct sealing_key next = key_of(2);
    const struct key_source third = source_of(3);
    struct aliyun_iot_error *error = NULL;
    struct aliyun_iot_identity *identity;
    int folder;

    (void)state;
    assert_true(ask(&device, false)); /* under the old key */
    begin_change(1, 2);
    assert_true(ask(&neighbour, false)); /* has the old key, writes under the new one */
    write_key(key_file, 2);
    upstream.failure = ALIYUN_IOT_REASON_UNREACHABLE;
    assert_true(ask(&device, false));
    assert_true(ask(&neighbour, false));
    write_key(key_file, 1);
    assert_true(ask(&device, false));
    assert_true(ask(&neighbour, false));
    identity = before->fetch(before, &neighbour, false, monotonic_milliseconds() + 1000, NULL);
    assert_non_null(identity);
    aliyun_iot_identity_free(identity);
    assert_null(files_open(path, &folder));
    assert_null(vault_keys_begin_change(folder, path, &next, &third, &error));
    assert_error(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "finish that first");
    assert_int_equal(1, vault_keys_end_change(folder, path, NULL));
    files_close(&folder);
    assert_no_vault("is sealed with key");
    write_key(key_file, 2);
    assert_true(ask(&neighbour, false));
    assert_int_equal(reports, 0);
    source_free(before);
}

/* It has a key that is not the vault's any more: it must not set the entries aside. */
static void a_process_that_missed_a_change_of_the_key_damages_nothing(void **state)
{
    struct source *before = open_vault();
    struct aliyun_iot_identity *identity;
    int folder;

    (void)state;
    begin_change(1, 2);
    assert_null(files_open(path, &folder));
    assert_int_equal(1, vault_keys_end_change(folder, path, NULL));
    files_close(&folder);
    write_key(key_file, 2);
    assert_true(ask(&device, false));
    identity = before->fetch(before, &device, false, monotonic_milliseconds() + 1000, NULL);
    assert_non_null(identity);
    aliyun_iot_identity_free(identity);
    assert_int_equal(count_set_aside(), 0);
    upstream.failure = ALIYUN_IOT_REASON_UNREACHABLE;
    assert_true(ask(&device, false));
    source_free(before);
}

/* A token of the tests: "wraps" with a byte of its URI, and can be told to fail. */
static bool token_is_gone;

static int wrap_double(const struct settings *of, const char *uri, struct bytes bytes,
        BUF_MEM *wrapped, struct aliyun_iot_error **error)
{
    (void)of;
    if (token_is_gone)
        return error_set(error, ALIYUN_IOT_REASON_TOKEN, "the token is gone");
    wrapped->length = 0;
    assert_true(buffer_append(wrapped, uri + strlen(uri) - 1, 1));
    for (size_t index = 0; index < bytes.left; index++) {
        const unsigned char byte = bytes.at[index] ^ 0x5a;

        assert_true(buffer_append(wrapped, &byte, 1));
    }
    return 1;
}

static int unwrap_double(const struct settings *of, const char *uri, struct bytes wrapped,
        BUF_MEM *unwrapped, struct aliyun_iot_error **error)
{
    if (wrapped.left == 0 || wrapped.at[0] != (unsigned char)uri[strlen(uri) - 1])
        return error_set(error, ALIYUN_IOT_REASON_TOKEN, "another key wrapped it");
    if (!wrap_double(of, uri, (struct bytes){wrapped.at + 1, wrapped.left - 1}, unwrapped, error))
        return 0;
    memmove(unwrapped->data, unwrapped->data + 1, --unwrapped->length);
    return 1;
}

static const struct key_wrapper token_double = {wrap_double, unwrap_double};

static struct key_source token_source(const char *uri)
{
    return (struct key_source){uri, &settings, &token_double};
}

static void assert_own(const char *uri, const unsigned char *id, const char *phrase)
{
    const struct key_source source = token_source(uri);
    struct aliyun_iot_error *error = NULL;
    struct sealing_key own;
    int folder, done;

    assert_null(files_open(path, &folder));
    done = vault_keys_own(folder, path, &source, &own, &error);
    files_close(&folder);
    assert_int_equal(done, id != NULL);
    if (id)
        assert_memory_equal(own.id, id, SEALING_ID_SIZE);
    else
        assert_error(error, ALIYUN_IOT_REASON_TOKEN, phrase);
}

static void a_wrapped_key_changes_to_another_while_either_token_can_unwrap_one(void **state)
{
    const struct sealing_key first = key_of(1);
    const struct key_source a = token_source("pkcs11:A"), b = token_source("pkcs11:B");
    struct vault_keys *to_a, *to_b;
    struct sealing_key key_a;
    int folder;

    (void)state;
    assert_null(files_open(path, &folder));
    to_a = vault_keys_begin_change(folder, path, &first, &a, NULL);
    assert_non_null(to_a);
    key_a = to_a->now;
    assert_own("pkcs11:A", key_a.id, NULL);
    assert_own("pkcs11:B", NULL, "another key wrapped it");
    assert_int_equal(1, vault_keys_end_change(folder, path, NULL));
    assert_own("pkcs11:A", key_a.id, NULL);
    to_b = vault_keys_begin_change(folder, path, &key_a, &b, NULL);
    assert_non_null(to_b);
    assert_own("pkcs11:A", key_a.id, NULL);
    assert_own("pkcs11:B", to_b->now.id, NULL);
    /* It goes on with the key that it began with. */
    vault_keys_free(to_a);
    to_a = vault_keys_begin_change(folder, path, &key_a, &b, NULL);
    assert_true(vault_keys_equal(to_a, to_b));
    assert_int_equal(1, vault_keys_end_change(folder, path, NULL));
    assert_own("pkcs11:A", NULL, "another key wrapped it");
    assert_own("pkcs11:B", to_b->now.id, NULL);
    token_is_gone = true;
    assert_own("pkcs11:B", NULL, "the token is gone");
    token_is_gone = false;
    files_close(&folder);
    vault_keys_free(to_a);
    vault_keys_free(to_b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_vault, remove_vault)
    const struct CMUnitTest tests[] = {
            TEST(what_was_fetched_once_needs_no_cloud),
            TEST(devices_that_differ_in_anything_have_entries_of_their_own),
            TEST(what_is_older_than_ttl_is_served_but_refreshed_behind),
            TEST(what_is_older_than_max_stale_is_fetched_anew),
            TEST(a_clock_that_was_set_back_hurts_nobody),
            TEST(an_expired_certificate_is_not_served),
            TEST(what_is_gone_or_forbidden_is_removed_and_other_failures_keep_it),
            TEST(a_file_of_another_device_is_set_aside_and_fetched_again),
            TEST(a_damaged_file_is_set_aside_and_fetched_again),
            TEST(a_file_from_another_vault_is_set_aside),
            TEST(a_vault_that_cannot_be_written_serves_from_the_cloud),
            TEST(a_key_that_is_not_the_vaults_is_an_error_and_no_damage),
            TEST(a_key_file_must_be_the_users_own_and_whole),
            TEST(systemd_gives_the_key_as_a_credential),
            TEST(a_file_of_keys_that_is_damaged_is_an_error),
            TEST(a_folder_without_its_file_of_keys_is_no_vault_yet),
            TEST(while_the_key_changes_whoever_has_either_reads_all_entries),
            TEST(a_process_that_missed_a_change_of_the_key_damages_nothing),
            TEST(a_wrapped_key_changes_to_another_while_either_token_can_unwrap_one),
    };
    int status;

    key = pair_key("EC");
    if (!mkdtemp(root))
        return 1;
    snprintf(path, sizeof(path), "%s/vault", root);
    snprintf(key_file, sizeof(key_file), "%s/key", root);
    snprintf(key_source, sizeof(key_source), "file:%s", key_file);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", root);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    folder_remove(root);
    return status;
}
