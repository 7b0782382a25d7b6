/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as files: what loads, and every problem of what does not. */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "agent/policy/policy.h"

static char folder[] = "/tmp/policy-test-XXXXXX";
static char main_file[64], drop_ins[64];

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *stream = fopen(path, "w");

    assert_non_null(stream);
    assert_int_equal(size, fwrite(bytes, 1, size, stream));
    assert_int_equal(0, fclose(stream));
    assert_int_equal(0, chmod(path, 0644));
}

static void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

static void write_drop_in(const char *name, const char *text)
{
    char path[128];

    mkdir(drop_ins, 0755);
    snprintf(path, sizeof(path), "%s/%s", drop_ins, name);
    write_text(path, text);
}

static int clean(void **state)
{
    char command[256];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s/*", folder);
    return system(command);
}

#define RULE "effect = allow\nusers = root\ndevices = */*\noperations = load\n"

static const char good[] = "[policy]\nversion = 1\n[rule/one]\n" RULE;

static struct policy *load(struct problems *problems)
{
    *problems = (struct problems){.count = 0};
    return policy_load(main_file, geteuid(), problems);
}

static void assert_loads(size_t rules)
{
    struct problems problems;
    struct policy *policy = load(&problems);

    if (!policy)
        print_error("%s", problems.text->data);
    assert_non_null(policy);
    assert_int_equal(rules, policy->count);
    assert_int_equal(0, problems.count);
    policy_free(policy);
    problems_release(&problems);
}

/* The only problem, with the line that it names; 0: the file. */
static void assert_fails(int line, const char *problem)
{
    struct problems problems;
    struct policy *policy = load(&problems);
    char place[16];

    assert_null(policy);
    snprintf(place, sizeof(place), line ? ":%d: " : ": ", line);
    if (problems.count != 1 || !strstr(problems.text->data, problem) ||
            !strstr(problems.text->data, place)) {
        print_error("expected line %d: %s\n%s", line, problem, problems.text->data);
        fail();
    }
    problems_release(&problems);
}

static void a_policy_and_its_drop_ins_load(void **state)
{
    (void)state;
    write_text(main_file, good);
    assert_loads(1);
    write_drop_in("10-two.conf", "# A comment.\n; Another one.\n\n [rule/two] \n" RULE);
    write_drop_in("20-three.conf", "[rule/One]\r\n" RULE "reason =\n[rule/Three]\n" RULE);
    write_drop_in("ignored.txt", "no policy");
    write_drop_in(".hidden.conf", "no policy");
    assert_loads(4);
}

static void every_key_is_read(void **state)
{
    static const char text[] = "[policy]\nversion = 1\n"
                               "[rule/a]\neffect = allow\nusers = root, #1002\n"
                               "groups = root,#7\nunits = mqtt@*.service , x.scope\n"
                               "sockets = main\ncontainers = yes\ndevices = a*/b, c/*\n"
                               "instances = iot-*, public\noperations = load, sign\n"
                               "usage = tls-client\nservers = *.broker.example, 192.0.2.1, ::1\n"
                               "not-before = 2026-01-01T00:00:00Z\n"
                               "not-after = 2026-12-31T23:59:59Z\nreason = QA-1, \xc3\xbc\n"
                               "[rule/l]\neffect = limit\nhosts = *\ndevices = */*\n"
                               "operations = sign\nrate = 6000/min\n";
    struct problems problems;
    struct policy *policy;
    const struct rule *rule;

    (void)state;
    write_text(main_file, text);
    policy = load(&problems);
    assert_non_null(policy);
    rule = policy->rules[0];
    assert_string_equal("a", rule->name);
    assert_int_equal(2, rule->users.count);
    assert_int_equal(1002, rule->users.list[1]);
    assert_int_equal(7, rule->groups.list[1]);
    assert_string_equal("x.scope", rule->units.list[1]);
    assert_string_equal("c/*", rule->devices.list[1]);
    assert_int_equal(RULE_LOAD | RULE_SIGN, rule->operations);
    assert_true(rule->is_tls_client && rule->may_be_in_a_container);
    assert_int_equal(3, rule->servers.count);
    assert_string_equal("*.broker.example", rule->servers.list[0].pattern);
    assert_true(rule->servers.list[1].is_address && rule->servers.list[2].is_address);
    assert_int_equal(1767225600, rule->not_before_s);
    assert_int_equal(1798761599, rule->not_after_s);
    assert_string_equal("QA-1, \xc3\xbc", rule->reason);
    rule = policy->rules[1];
    assert_true(rule->has_any_host);
    assert_int_equal(6000, rule->rate);
    assert_int_equal(60, rule->period_s);
    assert_int_equal(64, strlen(policy->hash));
    policy_free(policy);
}

/* Line 4 of a policy whose rule is complete without it. */
static void every_wrong_value_is_refused(void **state)
{
    static const struct {
        const char *line, *problem;
    } cases[] = {
            {"users = nosuchuser", "no such user"},
            {"users = #", "no such user"},
            {"users = #-1", "no such user"},
            {"users = #1x", "no such user"},
            {"users = #4294967295", "no such user"},
            {"users = #99999999999999999999", "no such user"},
            {"users = nobody", "nobody's"},
            {"users = #65534", "nobody's"},
            {"users = root, *", "no such user"},
            {"users = root,", "empty"},
            {"users = ,root", "empty"},
            {"users =", "has no value"},
            {"groups = *", "no such group"},
            {"groups = nosuchgroup", "no such group"},
            {"groups = #65534", "nobody's"},
            {"groups = nogroup", "nobody's"},
            {"units = a/b", "name of a unit"},
            {"units = a b.service", "name of a unit"},
            {"units = a.service,,b.service", "empty"},
            {"sockets = m*", "without *"},
            {"containers = maybe", "yes or no"},
            {"instances = iot/1", "ID of an instance"},
            {"not-before = 2026-01-01", "must be a time"},
            {"not-before = 2026-01-01T00:00:00", "must be a time"},
            {"not-before = 2026-01-01T00:00:00+00:00", "must be a time"},
            {"not-before = 2026-02-30T00:00:00Z", "must be a time"},
            {"not-before = 2026-1-1T00:00:00Z", "must be a time"},
            {"not-after = 2026-01-01T23:59:60Z", "must be a time"},
            {"not-after = tomorrow", "must be a time"},
            {"rate = 1/s", "limit alone"},
            {"hosts = a.example", "two rules"},
            {"Users = root", "is no key"},
            {"color = red", "is no key"},
            {"effect = allow", "repeated"},
            {"devices = a/b", "repeated"},
            {"usage = tls-client", "which operations does not name"},
            {"usage = any", "which operations does not name"},
            {"just words", "neither a section"},
            {"[rule/x", "as [NAME]"},
            {"[rule/x] y", "as [NAME]"},
            {"reason = \x01", "control character"},
            {"reason = \x1b[31m", "control character"},
            {"reason = \xff", "not UTF-8"},
            {"reason = \xc0\xaf", "not UTF-8"},
            {"reason = \xed\xa0\x80", "not UTF-8"},
            {"reason = \xf4\x90\x80\x80", "not UTF-8"},
            {"reason = \xe2\x82", "not UTF-8"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char text[1024];

        snprintf(text, sizeof(text),
                "[policy]\nversion = 1\n[rule/r]\n%s\neffect = allow\n%sdevices = */*\n"
                "operations = load\n",
                strncmp(cases[index].line, "effect", 6) == 0 ||
                                strncmp(cases[index].line, "devices", 7) == 0
                        ? "sockets = main"
                        : cases[index].line,
                strncmp(cases[index].line, "users", 5) == 0 ? "" : "users = #0\n");
        if (strncmp(cases[index].line, "effect", 6) == 0 ||
                strncmp(cases[index].line, "devices", 7) == 0) {
            strcat(text, cases[index].line);
            strcat(text, "\n");
            write_text(main_file, text);
            assert_fails(9, cases[index].problem);
        } else {
            write_text(main_file, text);
            assert_fails(4, cases[index].problem);
        }
    }
}

/* Whole rules; the problem is in line 3, that of the section, or in another one. */
static void rules_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *rule;
        int line;
        const char *problem;
    } cases[] = {
            {"users = #0\ndevices = */*\noperations = load\n", 3, "effect is missing"},
            {"effect = allow\nusers = #0\noperations = load\n", 3, "devices is missing"},
            {"effect = allow\nusers = #0\ndevices = */*\n", 3, "operations is missing"},
            {"effect = grant\nusers = #0\ndevices = */*\noperations = load\n", 4, "allow, deny"},
            {"effect = allow\ndevices = */*\noperations = load\n", 4, "names nobody"},
            {"effect = limit\ndevices = */*\noperations = load\n", 3, "rate is missing"},
            {"effect = deny\ndevices = */*\noperations = load\nrate = 1/s\n", 7, "limit alone"},
            {"effect = deny\ndevices = */*\noperations = load\ncontainers = no\n", 7,
                    "allow alone"},
            {"effect = allow\nhosts = *\ndevices = */*\noperations = load\ncontainers = yes\n", 8,
                    "no meaning"},
            {"effect = allow\nusers = #0\ndevices = *\noperations = load\n", 6, "PRODUCT_KEY"},
            {"effect = allow\nusers = #0\ndevices = a/b/c\noperations = load\n", 6, "PRODUCT_KEY"},
            {"effect = allow\nusers = #0\ndevices = a/\noperations = load\n", 6, "PRODUCT_KEY"},
            {"effect = allow\nusers = #0\ndevices = a/b c\noperations = load\n", 6, "PRODUCT_KEY"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = *\n", 7, "no such operation"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign\nusage = tls-server\n",
                    8, "any or tls-client"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = list\n", 7,
                    "no such operation"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = load, load\n", 7, "repeated"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign, export\nusage = any\n",
                    8, "exported"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign\nusage = any\n"
             "servers = a.example\n",
                    9, "needs usage"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign\n"
             "servers = a.example\n",
                    8, "needs usage"},
            {"effect = deny\ndevices = */*\noperations = load, sign\nusage = tls-client\n", 7,
                    "sign alone"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign\nusage = tls-client\n"
             "servers = *\n",
                    9, "DNS name"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign\nusage = tls-client\n"
             "servers = a.*.example\n",
                    9, "DNS name"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = sign\nusage = tls-client\n"
             "servers = 192.0.2.0/24\n",
                    9, "DNS name"},
            {"effect = allow\nhosts = x*.example\ndevices = */*\noperations = load\n", 5,
                    "DNS name"},
            {"effect = allow\nhosts = 192.0.2.1\ndevices = */*\noperations = load\n", 5,
                    "DNS name"},
            {"effect = limit\ndevices = */*\noperations = load\nrate = 0/s\n", 7, "from 1 on"},
            {"effect = limit\ndevices = */*\noperations = load\nrate = 5\n", 7, "from 1 on"},
            {"effect = limit\ndevices = */*\noperations = load\nrate = -1/s\n", 7, "from 1 on"},
            {"effect = limit\ndevices = */*\noperations = load\nrate = 1/day\n", 7, "from 1 on"},
            {"effect = limit\ndevices = */*\noperations = load\nrate = 1000000000000/s\n", 7,
                    "from 1 on"},
            {"effect = allow\nusers = #0\ndevices = */*\noperations = load\n"
             "not-before = 2026-01-02T00:00:00Z\nnot-after = 2026-01-02T00:00:00Z\n",
                    9, "not later"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char text[1024];

        snprintf(text, sizeof(text), "[policy]\nversion = 1\n[rule/r]\n%s", cases[index].rule);
        write_text(main_file, text);
        assert_fails(cases[index].line, cases[index].problem);
    }
}

static void the_head_of_a_policy_is_checked(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *problem;
    } cases[] = {
            {"", 0, "no section"},
            {"# nothing\n", 0, "no section"},
            {"[rule/one]\n" RULE, 0, "is missing"},
            {"[policy]\n", 1, "version = 1 is missing"},
            {"[policy]\nversion = 2\n", 2, "version 2 is unknown"},
            {"[policy]\nversion = 1.0\n", 2, "is unknown"},
            {"[policy]\nversion = 1\nowner = me\n", 3, "no key of [policy]"},
            {"[policy]\nversion = 1\n[policy]\nversion = 1\n", 3, "repeated"},
            {"[policy]\nversion = 1\nversion = 1\n", 3, "repeated"},
            {"[Policy]\nversion = 1\n[policy]\nversion = 1\n", 1, "is unknown"},
            {"version = 1\n[policy]\nversion = 1\n", 1, "before the first section"},
            {"[policy]\nversion = 1\n[rules/one]\n" RULE, 3, "is unknown"},
            {"[policy]\nversion = 1\n[Rule/one]\n" RULE, 3, "is unknown"},
            {"[policy]\nversion = 1\n[rule/]\n" RULE, 3, "needs a name"},
            {"[policy]\nversion = 1\n[rule/a]\n" RULE "[rule/a]\n" RULE, 8, "repeated"},
            {"[policy]\nversion = 1\n[]\n", 3, "as [NAME]"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        write_text(main_file, cases[index].text);
        assert_fails(cases[index].line, cases[index].problem);
    }
}

static void a_file_with_nul_is_refused(void **state)
{
    static const char text[] = "[policy]\nversion = 1\n[rule/one]\n" RULE "reason = a\0b\n";

    (void)state;
    write_bytes(main_file, text, sizeof(text) - 1);
    assert_fails(8, "NUL");
}

static void a_drop_in_is_held_to_the_same(void **state)
{
    (void)state;
    write_text(main_file, good);
    write_drop_in("10.conf", "[rule/two]\n" RULE);
    write_drop_in("20.conf", "");
    assert_fails(0, "20.conf: it has no section");
    write_drop_in("20.conf", "[policy]\nversion = 1\n");
    assert_fails(1, "not in a drop-in");
    write_drop_in("20.conf", "[rule/one]\n" RULE);
    assert_fails(1, "20.conf:1: rule one is repeated");
}

static void all_problems_are_told_at_once(void **state)
{
    struct problems problems;

    (void)state;
    write_text(main_file, "[policy]\nversion = 7\n[rule/a]\neffect = allow\nusers = nosuchuser, x\n"
                          "devices = a\nfoo = bar\n[other]\n");
    write_drop_in("x.conf", "stray\n[rule/b]\neffect = deny\n");
    assert_null(load(&problems));
    assert_int_equal(9, problems.count);
    problems_release(&problems);
}

static void what_others_may_change_is_refused(void **state)
{
    static const mode_t modes[] = {0666, 0664, 0646};
    char path[128];

    (void)state;
    write_text(main_file, good);
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(0, chmod(main_file, modes[index]));
        assert_fails(0, "may write to it");
    }
    chmod(main_file, 0600);
    write_drop_in("a.conf", "[rule/two]\n" RULE);
    snprintf(path, sizeof(path), "%s/a.conf", drop_ins);
    chmod(path, 0666);
    assert_fails(0, "a.conf: others");
    chmod(path, 0644);
    chmod(drop_ins, 0777);
    assert_fails(0, "policy.d: others");
    chmod(drop_ins, 0755);
    assert_loads(2);
}

static void files_of_others_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    write_text(main_file, good);
    assert_int_equal(0, chown(main_file, 4711, (gid_t)-1));
    assert_fails(0, "its owner is neither");
    assert_int_equal(0, chown(main_file, 0, (gid_t)-1));
    write_drop_in("a.conf", "[rule/two]\n" RULE);
    assert_int_equal(0, chown(drop_ins, 4711, (gid_t)-1));
    assert_fails(0, "policy.d: its owner");
}

static void links_and_other_things_are_refused(void **state)
{
    char path[128], other[128];

    (void)state;
    snprintf(other, sizeof(other), "%s/other", folder);
    write_text(other, good);
    assert_int_equal(0, symlink(other, main_file));
    assert_fails(0, "symbolic link");
    unlink(main_file);
    assert_fails(0, "No such file");
    mkdir(main_file, 0755);
    assert_fails(0, "no regular file");
    rmdir(main_file);
    mkfifo(main_file, 0644);
    assert_fails(0, "no regular file");
    unlink(main_file);
    write_text(main_file, good);
    mkdir(drop_ins, 0755);
    snprintf(path, sizeof(path), "%s/a.conf", drop_ins);
    assert_int_equal(0, symlink("/nonexistent", path));
    assert_fails(0, "symbolic link");
    unlink(path);
    rmdir(drop_ins);
    assert_int_equal(0, symlink(folder, drop_ins));
    assert_fails(0, "no folder");
    unlink(drop_ins);
    write_text(drop_ins, "");
    assert_fails(0, "no folder");
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(main_file, sizeof(main_file), "%s/policy.conf", folder);
    snprintf(drop_ins, sizeof(drop_ins), "%s/policy.d", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define CASE(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
            CASE(a_policy_and_its_drop_ins_load),
            CASE(every_key_is_read),
            CASE(every_wrong_value_is_refused),
            CASE(rules_that_make_no_sense_are_refused),
            CASE(the_head_of_a_policy_is_checked),
            CASE(a_file_with_nul_is_refused),
            CASE(a_drop_in_is_held_to_the_same),
            CASE(all_problems_are_told_at_once),
            CASE(what_others_may_change_is_refused),
            CASE(files_of_others_are_refused),
            CASE(links_and_other_things_are_refused),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
