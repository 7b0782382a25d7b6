/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials/chain.h"

#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/deadline.h"
#include "base/text.h"
#include "base/trace.h"
#include "cloud/credentials/search.h"

enum {
    SOURCE_RESERVE_MS = 2500, /* that one source leaves to the sources after it */
    PROBLEMS_MAX_BYTES = 780  /* in one error, which holds 1000 bytes in all */
};

/* The default chain of Alibaba Cloud's SDKs, in its order. */
static const struct chain_source {
    const char *name;
    credentials_source *find;
    bool reads_profiles;
} sources[] = {
        {"environment", credentials_from_environment, false},
        {"oidc", credentials_from_oidc, false},
        {"cli-profile", credentials_from_cli_profile, true},
        {"ini-profile", credentials_from_ini_profile, true},
        {"ecs-metadata", credentials_from_ecs_metadata, false},
        {"credentials-uri", credentials_from_uri, false},
};

enum { SOURCE_COUNT = sizeof(sources) / sizeof(sources[0]) };

/*
 * Whether a search asks this source. The source that once worked is the only one asked later, so
 * that a bad moment never leads to another account. For the same reason no other source is asked
 * where a profile was chosen by name.
 */
static bool is_asked(const struct settings *settings, const struct chain_source *kept,
        const char *profile, const struct chain_source *source)
{
    if (kept)
        return source == kept;
    if (settings->credentials_source)
        return strcmp(source->name, settings->credentials_source) == 0;
    return !profile || source->reads_profiles;
}

/* Fills the list with the sources to ask, in order. Returns how many. */
static size_t list_sources(const struct settings *settings, const struct chain_source *kept,
        const char *profile, const struct chain_source *list[SOURCE_COUNT])
{
    size_t count = 0;

    for (size_t index = 0; index < SOURCE_COUNT; index++)
        if (is_asked(settings, kept, profile, &sources[index]))
            list[count++] = &sources[index];
    return count;
}

static int unknown_source(const struct settings *settings, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *names = BUF_MEM_new();
    bool appended = names != NULL;

    for (size_t index = 0; appended && index < SOURCE_COUNT; index++)
        appended = buffer_append_format(names, "%s%s", index ? ", " : "", sources[index].name);
    if (!appended || !buffer_text(names))
        return error_set_out_of_memory(error);
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "%s: source = %s is unknown; the sources are %s", settings->file,
            settings->credentials_source, names->data);
}

/* What the sources that were asked said. */
struct problems {
    struct aliyun_iot_error *errors[SOURCE_COUNT];
    size_t count;
};

static void problems_release(struct problems *problems)
{
    for (size_t index = 0; index < problems->count; index++)
        aliyun_iot_error_free(problems->errors[index]);
}

/* The largest number of bytes for each problem with which all of them fit into the message. */
static size_t fit_problems(const struct problems *problems)
{
    for (size_t limit = PROBLEMS_MAX_BYTES; limit > 0; limit--) {
        size_t sum = 0;

        for (size_t index = 0; index < problems->count; index++)
            sum += text_shown_size(aliyun_iot_error_message(problems->errors[index]), limit) +
                   strlen("...; ");
        if (sum <= PROBLEMS_MAX_BYTES)
            return limit;
    }
    return 0;
}

static bool append_problems(BUF_MEM *text, const struct problems *problems)
{
    size_t limit = fit_problems(problems);

    for (size_t index = 0; index < problems->count; index++) {
        const char *message = aliyun_iot_error_message(problems->errors[index]);
        size_t shown = text_shown_size(message, limit);

        if (!buffer_append_format(text, "%s%.*s%s", index ? "; " : "", (int)shown, message,
                    message[shown] ? "..." : ""))
            return false;
    }
    return true;
}

/*
 * Drops the problems of sources that are not set up, if another is set up and failed: whoever set
 * it up needs no advice to set up another.
 */
static bool keep_failures(struct problems *problems)
{
    size_t kept = 0;

    for (size_t index = 0; index < problems->count; index++)
        kept += aliyun_iot_error_reason(problems->errors[index]) != ALIYUN_IOT_REASON_NOT_FOUND;
    if (kept == 0)
        return false;
    kept = 0;
    for (size_t index = 0; index < problems->count; index++) {
        struct aliyun_iot_error *problem = problems->errors[index];

        if (aliyun_iot_error_reason(problem) == ALIYUN_IOT_REASON_NOT_FOUND)
            aliyun_iot_error_free(problem);
        else
            problems->errors[kept++] = problem;
    }
    problems->count = kept;
    return true;
}

/* Says what was tried, and why each did not do. profile: chosen by name and asked for, or NULL. */
static int none_found(
        const char *profile, struct problems *problems, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    bool failed = !profile && keep_failures(problems);

    if (!text || !append_problems(text, problems) || !buffer_text(text))
        return error_set_out_of_memory(error);
    if (profile)
        return error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
                "no AccessKey: profile %.64s is chosen by name and cannot be used, so no other "
                "source is asked (tried %s)",
                profile, text->data);
    if (failed)
        return error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
                "no AccessKey: a source of credentials is set up and cannot be used: %s",
                text->data);
    return error_set(error, ALIYUN_IOT_REASON_NO_CREDENTIALS,
            "no AccessKey: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or "
            "run \"aliyun configure\" (tried %s)",
            text->data);
}

/* A source that does not answer leaves some of the time to those after it, if there are any. */
static int64_t share_deadline(int64_t deadline, bool last)
{
    int64_t half_ms = deadline_left_ms(deadline) / 2;

    return last ? deadline : deadline - (half_ms < SOURCE_RESERVE_MS ? half_ms : SOURCE_RESERVE_MS);
}

/*
 * Asks one source; on failure its error becomes one of the problems. Returns whether the search
 * is over: a profile that was chosen by name and exists is never replaced by another source.
 */
static bool ask_source(const struct credentials_search *search, const struct chain_source *source,
        struct problems *problems, struct credentials **found)
{
    struct aliyun_iot_error **problem = &problems->errors[problems->count];
    bool absent;

    *found = source->find(search, problem);
    if (*found)
        return true;
    problems->count++;
    absent = aliyun_iot_error_reason(*problem) == ALIYUN_IOT_REASON_NOT_FOUND;
    trace(search->settings, absent ? TRACE_DEBUG : TRACE_ERROR,
            "credentials skipped source=%s error=%s", source->name,
            aliyun_iot_error_message(*problem));
    return !absent && search->profile && source->reads_profiles;
}

static const char *chosen_profile(const struct settings *settings)
{
    return settings->credentials_profile ? settings->credentials_profile
                                         : credentials_environment("ALIBABA_CLOUD_PROFILE");
}

struct credentials *chain_search(const struct settings *settings, struct http_client *http,
        const struct chain_source **kept, const struct credentials *rejected, int64_t deadline,
        struct aliyun_iot_error **error)
{
    __attribute__((cleanup(problems_release))) struct problems problems = {.count = 0};
    struct credentials_search search = {
            settings, http, chosen_profile(settings), rejected, deadline};
    const struct chain_source *list[SOURCE_COUNT], *source = NULL;
    size_t count = list_sources(settings, *kept, search.profile, list);
    struct credentials *found = NULL;
    bool over = false;

    if (count == 0) {
        unknown_source(settings, error);
        return NULL;
    }
    for (size_t index = 0; !over && index < count; index++) {
        source = list[index];
        search.deadline = share_deadline(deadline, index + 1 == count);
        over = ask_source(&search, source, &problems, &found);
    }
    if (!found) {
        none_found(source->reads_profiles ? search.profile : NULL, &problems, error);
        return NULL;
    }
    *kept = source;
    return found;
}
