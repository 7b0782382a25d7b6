/* SPDX-License-Identifier: Apache-2.0 */
/* How the agent writes answers: one JSON object each, into a buffer whose content it replaces. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

/*
 * A refusal. reason: a word of the protocol; limit: which limit, for reason LIMITED, else NULL.
 * Out of memory, the answer is a constant text that says so; it is never empty.
 */
void answer_refuse(BUF_MEM *answer, const char *reason, const char *limit, const char *message);

/* The failure that an error tells of. */
void answer_error(BUF_MEM *answer, const struct aliyun_iot_error *error);

/* The reason in an answer that is a failure, *size characters of it; NULL: it is none. */
const char *answer_failure(const BUF_MEM *answer, size_t *size);

/* What a done answer begins with, to be freed by json_free(); NULL when out of memory. */
cJSON *answer_begin(void);

/* Writes a done answer. What is longer than a packet becomes a refusal. */
void answer_write(BUF_MEM *answer, const cJSON *object);

#endif
