/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "agent/policy/policy_files.h"
#include "base/text.h"

static const char main_section[] = "policy";

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free);

struct policy *policy_reference(struct policy *policy)
{
    if (policy)
        atomic_fetch_add(&policy->references, 1);
    return policy;
}

void policy_free(struct policy *policy)
{
    if (!policy || atomic_fetch_sub(&policy->references, 1) > 1)
        return;
    for (size_t index = 0; index < policy->count; index++)
        rule_free(policy->rules[index]);
    free(policy->rules);
    free(policy->limits);
    free(policy->common);
    free(policy->user_rules);
    free(policy);
}

/* A policy that is being loaded. */
struct loading {
    struct policy *policy;
    const char *main_file;
    bool has_main_section;
    struct problems *problems;
};

static void read_main_section(
        struct loading *loading, const struct policy_section *section, const char *file)
{
    bool has_version = false;

    if (strcmp(file, loading->main_file) != 0) {
        problems_add(loading->problems, file, section->line,
                "[policy] may stand in policy.conf alone, not in a drop-in");
        return;
    }
    if (loading->has_main_section)
        problems_add(loading->problems, file, section->line, "[policy] is repeated");
    loading->has_main_section = true;
    for (size_t index = 0; index < section->count; index++) {
        const struct policy_entry *entry = &section->entries[index];

        if (strcmp(entry->key, "version") != 0) {
            problems_add(loading->problems, file, entry->line,
                    "%.100s is no key of [policy], which has version", entry->key);
            continue;
        }
        has_version = true;
        if (strcmp(entry->value, "1") != 0)
            problems_add(loading->problems, file, entry->line,
                    "version %.100s is unknown; this program reads version 1", entry->value);
    }
    if (!has_version)
        problems_add(loading->problems, file, section->line, "version = 1 is missing in [policy]");
}

static void read_rule(
        struct loading *loading, const struct policy_section *section, const char *file)
{
    struct policy *policy = loading->policy;
    CLEANUP(rule_free) struct rule *rule = rule_read(section, file, loading->problems);
    struct rule **rules;

    if (!rule)
        return;
    rules = policy->count & (policy->count - 1)
                    ? policy->rules
                    : reallocarray(policy->rules, policy->count ? 2 * policy->count : 1,
                              sizeof(struct rule *));
    if (!rules) {
        problems_add(loading->problems, file, section->line, "out of memory");
        return;
    }
    policy->rules = rules;
    rules[policy->count++] = take(rule);
}

static void read_file_of_policy(struct loading *loading, const struct policy_file *file)
{
    bool is_main = strcmp(file->path, loading->main_file) == 0;
    struct policy_text text;

    policy_text_split(file->text->data, file->text->length, file->path, &text, loading->problems);
    if (text.count == 0)
        problems_add(
                loading->problems, file->path, 0, "it has no section; it may have been cut off");
    for (size_t index = 0; index < text.count; index++) {
        const struct policy_section *section = &text.sections[index];

        if (strcmp(section->name, main_section) == 0)
            read_main_section(loading, section, file->path);
        else if (rule_name(section->name))
            read_rule(loading, section, file->path);
        else
            problems_add(loading->problems, file->path, section->line,
                    "[%.100s] is unknown; there are [policy] and [rule/NAME]", section->name);
    }
    if (is_main && text.count > 0 && !loading->has_main_section)
        problems_add(loading->problems, file->path, 0, "[policy] with version = 1 is missing");
    policy_text_release(&text);
}

static int compare_rules(const void *one, const void *other)
{
    const struct rule *left = *(struct rule *const *)one, *right = *(struct rule *const *)other;

    return strcmp(left->name, right->name);
}

static void check_names(struct loading *loading)
{
    struct policy *policy = loading->policy;

    if (policy->count > 1)
        qsort(policy->rules, policy->count, sizeof(policy->rules[0]), compare_rules);
    for (size_t index = 1; index < policy->count; index++) {
        const struct rule *rule = policy->rules[index], *before = policy->rules[index - 1];

        if (strcmp(rule->name, before->name) == 0)
            problems_add(loading->problems, rule->file, rule->line,
                    "rule %.100s is repeated; it is in %.300s:%d too", rule->name, before->file,
                    before->line);
    }
}

static int compare_user_rules(const void *one, const void *other)
{
    const struct user_rule *left = one, *right = other;

    if (left->uid != right->uid)
        return left->uid < right->uid ? -1 : 1;
    return left->rule->position < right->rule->position
                   ? -1
                   : left->rule->position > right->rule->position;
}

static void list_rule(struct policy *policy, struct rule *rule)
{
    if (rule->effect == RULE_LIMIT)
        policy->limits[policy->limit_count++] = rule;
    else if (rule->users.count == 0)
        policy->common[policy->common_count++] = rule;
    else
        for (size_t index = 0; index < rule->users.count; index++)
            policy->user_rules[policy->user_rule_count++] =
                    (struct user_rule){rule->users.list[index], rule};
}

static void list_rules(struct loading *loading)
{
    struct policy *policy = loading->policy;
    size_t users = 0;

    for (size_t index = 0; index < policy->count; index++)
        users += policy->rules[index]->users.count;
    policy->limits = calloc(policy->count + 1, sizeof(*policy->limits));
    policy->common = calloc(policy->count + 1, sizeof(*policy->common));
    policy->user_rules = calloc(users + 1, sizeof(*policy->user_rules));
    if (!policy->limits || !policy->common || !policy->user_rules) {
        problems_add(loading->problems, loading->main_file, 0, "out of memory");
        return;
    }
    for (size_t index = 0; index < policy->count; index++) {
        policy->rules[index]->position = index;
        list_rule(policy, policy->rules[index]);
    }
    qsort(policy->user_rules, policy->user_rule_count, sizeof(*policy->user_rules),
            compare_user_rules);
}

/* Before the files are split, which changes them. */
static bool make_hash(const struct policy_files *files, char hash[POLICY_HASH_SIZE])
{
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    bool done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL);

    for (size_t index = 0; done && index < files->count; index++)
        done = EVP_DigestUpdate(
                digest, files->list[index].text->data, files->list[index].text->length);
    if (!done || !EVP_DigestFinal_ex(digest, bytes, &size))
        return false;
    text_write_hexadecimal(hash, bytes, size);
    return true;
}

struct policy *policy_load(const char *file, int64_t owner_uid, struct problems *problems)
{
    CLEANUP(policy_free) struct policy *policy = calloc(1, sizeof(*policy));
    struct loading loading = {.policy = policy, .main_file = file, .problems = problems};
    size_t before = problems->count;
    struct policy_files files;

    if (policy) {
        policy->references = 1;
        policy->loaded = time(NULL);
    }
    policy_files_read(file, owner_uid, &files, problems);
    if (!policy || !make_hash(&files, policy->hash)) {
        problems_add(problems, file, 0, "out of memory");
    } else {
        for (size_t index = 0; index < files.count; index++)
            read_file_of_policy(&loading, &files.list[index]);
        check_names(&loading);
        list_rules(&loading);
    }
    policy_files_release(&files);
    return problems->count == before ? take(policy) : NULL;
}
