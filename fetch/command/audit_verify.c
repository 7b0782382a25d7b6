/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot audit verify: whether the chain of a log is whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/audit/chain.h"
#include "base/text.h"
#include "command/audit.h"
#include "command/command.h"

/* A head of a chain, as syslog has it. */
struct head {
    int64_t seq;
    char hash[CHAIN_HASH_SIZE];
    bool was_found;
};

struct heads {
    struct head *list;
    size_t count;
};

/* Where the verification is. */
struct verification {
    struct heads heads;
    const char *file;
    int64_t line;                   /* in the file */
    bool has_before;                /* a line, to which the next one must link */
    bool is_torn;                   /* that line was cut short */
    int64_t seq;                    /* of the last whole line */
    struct chain_link first;        /* of all lines; seq 0: there is none yet */
    bool is_first_proved;           /* a head of syslog is the line before it */
    char previous[CHAIN_HASH_SIZE]; /* the hash of the line before */
    int64_t lines, problems;
};

static void tell(struct verification *verification, const char *problem)
{
    verification->problems++;
    fail("%s:%lld: %s", verification->file, (long long)verification->line, problem);
}

static void look_for_head(struct verification *verification, int64_t seq, const char *hash)
{
    for (size_t index = 0; index < verification->heads.count; index++) {
        struct head *head = &verification->heads.list[index];

        if (head->seq == seq && strcmp(head->hash, hash) == 0)
            head->was_found = true;
    }
}

/* A line that is none of a chain: only a resume may follow it. */
static void take_fragment(struct verification *verification, const char *hash)
{
    if (verification->is_torn)
        tell(verification, "two lines that were cut short follow each other");
    verification->is_torn = true;
    verification->has_before = true;
    memcpy(verification->previous, hash, CHAIN_HASH_SIZE);
}

static const char *check_link(
        const struct verification *verification, const struct chain_link *link)
{
    bool starts = link->seq == 1 && strcmp(link->previous, chain_start) == 0;

    if (!verification->has_before)
        return NULL;
    if (verification->is_torn && !link->is_resume)
        return "the line before is damaged, and this is no resume";
    if (starts)
        return "a new chain begins here: what came before it was removed, or ends here";
    if (!verification->is_torn && link->is_resume)
        return "it resumes after a line that is not cut short";
    if (strcmp(link->previous, verification->previous) != 0)
        return "it does not fit the line before: one of them was changed, removed or moved";
    if (link->seq != verification->seq + 1)
        return "its number does not follow: lines were removed or moved";
    return NULL;
}

static void take_line(struct verification *verification, const char *line, size_t size)
{
    struct chain_link link;
    char hash[CHAIN_HASH_SIZE];
    const char *problem;

    verification->line++;
    chain_hash(line, size, hash);
    if (!chain_link_read(line, size, &link)) {
        take_fragment(verification, hash);
        return;
    }
    problem = check_link(verification, &link);
    if (problem)
        tell(verification, problem);
    if (verification->lines == 0)
        verification->first = link;
    verification->lines++;
    verification->has_before = true;
    verification->is_torn = false;
    verification->seq = link.seq;
    memcpy(verification->previous, hash, CHAIN_HASH_SIZE);
    look_for_head(verification, link.seq, hash);
}

static int verify_file(struct verification *verification, const char *file)
{
    CLEANUP(fclose) FILE *stream = fopen(file, "re");
    CLEANUP(free) char *line = NULL;
    size_t room = 0;
    ssize_t size;

    verification->file = file;
    verification->line = 0;
    if (!stream)
        return fail("%s: %s", file, strerror(errno));
    while ((size = getline(&line, &room, stream)) >= 0)
        take_line(verification, line, (size_t)size - (line[size - 1] == '\n'));
    return ferror(stream) ? fail("%s: %s", file, strerror(errno)) : EXIT_DONE;
}

/* "... audit head seq=N sha256=HEX", whatever syslog writes around it. */
static bool read_head(const char *line, struct head *head)
{
    static const char word[] = "audit head seq=", hash_word[] = " sha256=";
    const char *at = strstr(line, word);
    char *end;

    if (!at)
        return false;
    head->was_found = false;
    head->seq = strtoll(at + strlen(word), &end, 10);
    if (strncmp(end, hash_word, strlen(hash_word)) != 0)
        return false;
    end += strlen(hash_word);
    if (strspn(end, DIGITS "abcdef") != CHAIN_HASH_SIZE - 1)
        return false;
    memcpy(head->hash, end, CHAIN_HASH_SIZE - 1);
    head->hash[CHAIN_HASH_SIZE - 1] = '\0';
    return true;
}

static int read_heads(struct heads *heads, const char *file)
{
    CLEANUP(fclose) FILE *stream = fopen(file, "re");
    CLEANUP(free) char *line = NULL;
    size_t room = 0;

    if (!stream)
        return fail("%s: %s", file, strerror(errno));
    while (getline(&line, &room, stream) >= 0) {
        struct head head = {.seq = 0}, *list;

        if (!read_head(line, &head))
            continue;
        list = reallocarray(heads->list, heads->count + 1, sizeof(*list));
        if (!list)
            return fail("out of memory");
        heads->list = list;
        list[heads->count++] = head;
    }
    return heads->count > 0 ? EXIT_DONE : fail("%s: there is no audit head in it", file);
}

/*
 * Heads of lines before the first file say nothing about these, but the last of them may be the
 * line that the first line links to. A resume links to a fragment instead.
 */
static const char *check_head(struct verification *verification, const struct head *head)
{
    const struct chain_link *first = &verification->first;

    if (head->was_found || head->seq + 1 < first->seq)
        return NULL;
    if (head->seq >= first->seq)
        return "is missing: the log was cut or changed";
    if (first->is_resume)
        return NULL;
    verification->is_first_proved = strcmp(head->hash, first->previous) == 0;
    return verification->is_first_proved ? NULL : "is not the one before the first line";
}

static void check_heads(struct verification *verification)
{
    bool is_proved = verification->heads.count == 0;

    for (size_t index = 0; index < verification->heads.count; index++) {
        const struct head *head = &verification->heads.list[index];
        const char *problem = check_head(verification, head);

        is_proved |= head->was_found || verification->is_first_proved;
        if (!problem)
            continue;
        verification->problems++;
        fail("the line that syslog has with seq %lld and sha256 %s %s", (long long)head->seq,
                head->hash, problem);
    }
    if (is_proved || verification->problems > 0)
        return;
    verification->problems++;
    fail("none of the lines that syslog has is in these logs, so nothing proves them");
}

static int finish(struct verification *verification, int files)
{
    if (verification->lines == 0 && verification->problems == 0)
        return fail("there is no line to verify");
    if (verification->is_torn)
        tell(verification, "the last line was cut short");
    check_heads(verification);
    if (verification->problems > 0)
        return fail("%lld problem%s in %lld lines", (long long)verification->problems,
                verification->problems == 1 ? "" : "s", (long long)verification->lines);
    printf("%lld lines of %d file%s are whole, seq %lld to %lld%s\n",
            (long long)verification->lines, files, files == 1 ? "" : "s",
            (long long)verification->first.seq, (long long)verification->seq,
            verification->first.seq == 1 ? "" : "; older lines are elsewhere");
    return EXIT_DONE;
}

int audit_verify(int argc, char **argv)
{
    struct verification verification = {.file = NULL};
    int first = 1, status = EXIT_DONE;

    if (argc > 2 && strcmp(argv[1], "--heads") == 0) {
        status = read_heads(&verification.heads, argv[2]);
        first = 3;
    }
    if (first >= argc || argv[first][0] == '-')
        status = fail_usage("audit verify takes [--heads FILE] FILE ...; the oldest file first");
    for (int index = first; status == EXIT_DONE && index < argc; index++)
        status = verify_file(&verification, argv[index]);
    if (status == EXIT_DONE)
        status = finish(&verification, argc - first);
    free(verification.heads.list);
    return status;
}
