/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a policy file, strictly: sections and keys as they are written. The settings are
 * read by libini_config, which ignores case, tells some of the problems only, and cuts values at
 * NUL. A policy must mean what it looks like, and all its problems are told at once.
 */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include "agent/policy/problems.h"

struct policy_entry {
    const char *key, *value; /* without blanks around them; value may be empty */
    int line;
};

struct policy_section {
    const char *name;
    int line;
    struct policy_entry *entries;
    size_t count;
};

struct policy_text {
    struct policy_section *sections;
    size_t count;
};

/*
 * Splits size bytes, which are changed and must stay as long as *text, whose strings point into
 * them. A NUL must follow them. What is wrong becomes a problem of the file. *text is to be
 * released by policy_text_release() in every case.
 */
void policy_text_split(char *bytes, size_t size, const char *file, struct policy_text *text,
        struct problems *problems);

void policy_text_release(struct policy_text *text);

#endif
