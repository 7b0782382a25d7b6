/* SPDX-License-Identifier: Apache-2.0 */
/* Changes to a JSON text: the result must parse, and differ in the changed members alone. */
#include "fuzz.h"

#include "cloud/credentials/json_edit.h"

/* The deepest of the first children that is an object. */
static cJSON *choose_object(cJSON *root)
{
    cJSON *chosen = root;

    for (cJSON *value = root; value; value = value->child)
        if (cJSON_IsObject(value))
            chosen = value;
    return chosen;
}

static void set_member(cJSON *object, const char *name, cJSON *value)
{
    if (!value)
        abort();
    if (cJSON_GetObjectItemCaseSensitive(object, name))
        cJSON_ReplaceItemInObjectCaseSensitive(object, name, value);
    else
        cJSON_AddItemToObject(object, name, value);
}

/* cJSON_Compare() calls an infinite number different from itself. */
static bool is_comparable(const cJSON *root, const BUF_MEM *text)
{
    const char *problem = NULL;
    cJSON *same = json_parse(text->data, text->length, JSON_DEPTH_MAX, &problem);
    bool comparable = cJSON_Compare(root, same, 1);

    json_free(same);
    return comparable;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "a\"b\\c\n\x01";
    const struct json_change changes[] = {
            {.name = "sts_token", .text = text},
            {.name = "sts_expiration", .number = 1234567890123},
            {.name = "added", .text = ""},
    };
    const char *problem = NULL;
    BUF_MEM *before = BUF_MEM_new(), *after;
    cJSON *root, *object, *again;

    if (!before || !buffer_append(before, data, size) || !buffer_text(before))
        abort();
    root = json_parse(before->data, before->length, JSON_DEPTH_MAX, &problem);
    if (root && is_comparable(root, before)) {
        object = choose_object(root);
        after = json_edit(before, root, object, changes, 3);
        if (!after || strlen(after->data) != after->length)
            abort();
        again = json_parse(after->data, after->length, JSON_DEPTH_MAX, &problem);
        set_member(object, "sts_token", cJSON_CreateString(text));
        set_member(object, "sts_expiration", cJSON_CreateNumber(1234567890123));
        set_member(object, "added", cJSON_CreateString(""));
        if (!again || !cJSON_Compare(root, again, 1))
            abort();
        json_free(again);
        BUF_MEM_free(after);
    }
    json_free(root);
    BUF_MEM_free(before);
    return 0;
}
