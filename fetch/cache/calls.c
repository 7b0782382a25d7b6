/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/calls.h"

#include <stdlib.h>

int call_queue_add(struct call_queue *queue, struct call *call, const void *principal)
{
    struct call_line **place = &queue->lines, *line;

    while (*place && (*place)->principal != principal)
        place = &(*place)->next;
    if (!*place) {
        *place = calloc(1, sizeof(**place));
        if (!*place)
            return 0;
        (*place)->principal = principal;
    }
    line = *place;
    *(line->last ? &line->last->next : &line->first) = call;
    line->last = call;
    call->next = NULL;
    call->line = line;
    return 1;
}

bool call_is_free(const struct call *call)
{
    return !call->line->principal || call->line->under_way < CALLS_OF_PRINCIPAL_MAX;
}

bool call_is_alone(const struct call *call)
{
    return call->line->first == call && !call->next && call->line->under_way == 0;
}

static void move_to_end(struct call_line **place)
{
    struct call_line *line = *place;

    *place = line->next;
    while (*place)
        place = &(*place)->next;
    line->next = NULL;
    *place = line;
}

struct call *call_queue_take(struct call_queue *queue)
{
    struct call_line **chosen = NULL, *line;
    struct call *call;

    for (struct call_line **place = &queue->lines; *place; place = &(*place)->next)
        if ((*place)->first && call_is_free((*place)->first) &&
                (!chosen || (*place)->under_way < (*chosen)->under_way))
            chosen = place;
    if (!chosen)
        return NULL;
    line = *chosen;
    call = line->first;
    line->first = call->next;
    if (!line->first)
        line->last = NULL;
    line->under_way++;
    move_to_end(chosen);
    return call;
}

void call_queue_end(struct call_queue *queue, struct call *call)
{
    struct call_line *line = call->line, **place = &queue->lines;

    line->under_way--;
    if (line->first || line->under_way > 0)
        return;
    while (*place != line)
        place = &(*place)->next;
    *place = line->next;
    free(line);
}

void call_queue_clear(struct call_queue *queue)
{
    struct call_line *line;

    while ((line = queue->lines)) {
        queue->lines = line->next;
        free(line);
    }
}
