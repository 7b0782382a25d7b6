/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keys.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/base64.h"
#include "base/text.h"
#include "vault/files.h"

#define FIRST_LINE "aliyun-iot-vault 1"

enum { ID_TEXT_SIZE = 2 * SEALING_ID_SIZE + 1 };

/* The file, line by line. Empty strings: the line is not there. */
struct keys_file {
    char *text; /* of malloc(), which the others are parts of */
    const char *key, *next, *key_by_next, *next_by_key;
};

static void release(struct keys_file *file)
{
    free(file->text);
}

/* What a key is bound to when it is sealed with another one. */
static const struct bytes purpose = {(const unsigned char *)"vault key", sizeof("vault key")};

void vault_keys_free(struct vault_keys *keys)
{
    OPENSSL_clear_free(keys, sizeof(*keys));
}

static bool has_id(const struct sealing_key *key, const unsigned char *id)
{
    return memcmp(key->id, id, SEALING_ID_SIZE) == 0;
}

bool vault_keys_equal(const struct vault_keys *left, const struct vault_keys *right)
{
    return has_id(&left->now, right->now.id) && left->has_older == right->has_older &&
           (!left->has_older || has_id(&left->older, right->older.id));
}

const struct sealing_key *vault_keys_find(const struct vault_keys *keys, const unsigned char *id)
{
    if (has_id(&keys->now, id))
        return &keys->now;
    return keys->has_older && has_id(&keys->older, id) ? &keys->older : NULL;
}

static bool is_id_of(const char *text, const struct sealing_key *key)
{
    char id[ID_TEXT_SIZE];

    text_write_hexadecimal(id, key->id, SEALING_ID_SIZE);
    return strcmp(text, id) == 0;
}

/* The value, if the line begins with the word. */
static const char *value_of(const char *line, const char *word)
{
    size_t length = strlen(word);

    return strncmp(line, word, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

static bool take_line(struct keys_file *file, const char *line)
{
    const struct {
        const char *word, **value;
    } lines[] = {{"key", &file->key}, {"next", &file->next}, {"key-by-next", &file->key_by_next},
            {"next-by-key", &file->next_by_key}};

    for (size_t index = 0; index < sizeof(lines) / sizeof(lines[0]); index++) {
        const char *value = value_of(line, lines[index].word);

        if (value && **lines[index].value)
            return false;
        if (value)
            *lines[index].value = value;
        if (value)
            return true;
    }
    return false;
}

static bool parse(struct keys_file *file)
{
    char *place = file->text, *line = strsep(&place, "\n");

    if (strcmp(line, FIRST_LINE) != 0)
        return false;
    while ((line = strsep(&place, "\n")) && *line)
        if (!take_line(file, line))
            return false;
    /* The last line ends with a line break, and either all of a change is there or nothing. */
    return line && !place && *file->key && !*file->next == !*file->key_by_next &&
           !*file->next == !*file->next_by_key;
}

static int read_keys_file(
        int folder, const char *path, struct keys_file *keys, struct aliyun_iot_error **error)
{
    struct file file;
    const char *fault;
    files_problem problem = files_read(folder, FILES_KEYS, &file, &fault);
    bool is_text;

    *keys = (struct keys_file){NULL, "", "", "", ""};
    if (problem || fault)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%.300s/" FILES_KEYS ": %s", path,
                problem ? problem : fault);
    if (!file.bytes)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "%.300s is no vault yet; make it one with: aliyun-iot vault init", path);
    is_text = !memchr(file.bytes, '\0', file.size);
    keys->text = is_text ? strndup((const char *)file.bytes, file.size) : NULL;
    free(file.bytes);
    if (is_text && !keys->text)
        return error_set_out_of_memory(error);
    if (is_text && parse(keys))
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "%.300s/" FILES_KEYS " is damaged, or of a later version of this program", path);
}

/* Reads a key that another one sealed. Returns whether it is the one with the id. */
static bool read_sealed_key(
        const char *text, const struct sealing_key *by, const char *id, struct sealing_key *key)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new(), *content = BUF_MEM_new();
    struct sealed sealed;

    if (!bytes || !content || base64_decode(text, strlen(text), bytes) ||
            !sealed_parse(
                    (struct bytes){(const unsigned char *)bytes->data, bytes->length}, &sealed) ||
            sealed.names.left != purpose.left ||
            memcmp(sealed.names.at, purpose.at, purpose.left) != 0 ||
            unseal(by, &sealed, content, NULL) != 1 || content->length != SEALING_KEY_SIZE)
        return false;
    memcpy(key->bytes, content->data, SEALING_KEY_SIZE);
    return sealing_key_identify(key, NULL) && is_id_of(id, key);
}

static bool append_sealed_key(
        BUF_MEM *text, const struct sealing_key *key, const struct sealing_key *by)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *sealed = BUF_MEM_new();

    return sealed &&
           seal(by, purpose, (struct bytes){key->bytes, SEALING_KEY_SIZE}, sealed, NULL) &&
           base64_append(text, sealed->data, sealed->length);
}

static int refuse_key(const char *path, const struct keys_file *file, const struct sealing_key *own,
        struct aliyun_iot_error **error)
{
    char id[ID_TEXT_SIZE];

    text_write_hexadecimal(id, own->id, SEALING_ID_SIZE);
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "the vault %.300s is sealed with key %.32s, and the settings name key %s; name the "
            "vault's own key in section [vault], or make a new vault in another folder",
            path, file->key, id);
}

struct vault_keys *vault_keys_load(int folder, const char *path, const struct sealing_key *own,
        struct aliyun_iot_error **error)
{
    __attribute__((cleanup(release))) struct keys_file file = {.text = NULL};
    CLEANUP(vault_keys_free) struct vault_keys *keys = OPENSSL_zalloc(sizeof(*keys));
    bool fits = true;

    if (!keys) {
        error_set_out_of_memory(error);
        return NULL;
    }
    if (!read_keys_file(folder, path, &file, error))
        return NULL;
    keys->now = *own;
    keys->has_older = *file.next != '\0';
    if (*file.next && is_id_of(file.next, own)) {
        fits = read_sealed_key(file.key_by_next, own, file.key, &keys->older);
    } else if (is_id_of(file.key, own)) {
        keys->older = *own;
        if (*file.next)
            fits = read_sealed_key(file.next_by_key, own, file.next, &keys->now);
    } else {
        refuse_key(path, &file, own, error);
        return NULL;
    }
    if (fits)
        return take(keys);
    error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "%.300s/" FILES_KEYS " is damaged", path);
    return NULL;
}

/* Writes the file. older: NULL: no change is under way. */
static int write_keys_file(int folder, const char *path, const struct sealing_key *key,
        const struct sealing_key *older, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();
    char now_id[ID_TEXT_SIZE], older_id[ID_TEXT_SIZE];
    files_problem problem;
    bool done;

    text_write_hexadecimal(now_id, key->id, SEALING_ID_SIZE);
    text_write_hexadecimal(older_id, older ? older->id : key->id, SEALING_ID_SIZE);
    done = text && buffer_append_format(text, FIRST_LINE "\nkey %s\n", older_id);
    if (older)
        done = done && buffer_append_format(text, "next %s\nkey-by-next ", now_id) &&
               append_sealed_key(text, older, key) && buffer_append_text(text, "\nnext-by-key ") &&
               append_sealed_key(text, key, older) && buffer_append_text(text, "\n");
    if (!done)
        return error_set_out_of_memory(error);
    problem = files_write(folder, FILES_KEYS, text->data, text->length);
    return problem ? error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                             "%.300s/" FILES_KEYS " cannot be written: %s", path, problem)
                   : 1;
}

int vault_keys_create(int folder, const char *path, const struct sealing_key *key,
        struct aliyun_iot_error **error)
{
    return write_keys_file(folder, path, key, NULL, error);
}

int vault_keys_begin_change(int folder, const char *path, const struct sealing_key *older,
        const struct sealing_key *next, struct aliyun_iot_error **error)
{
    __attribute__((cleanup(release))) struct keys_file file = {.text = NULL};

    if (!read_keys_file(folder, path, &file, error))
        return 0;
    if (!*file.next && is_id_of(file.key, older))
        return write_keys_file(folder, path, next, older, error);
    if (is_id_of(file.next, next))
        return 1;
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "the vault %.300s is being sealed anew with key %.32s; finish that first, with the "
            "same command and that key",
            path, *file.next ? file.next : file.key);
}

int vault_keys_end_change(int folder, const char *path, const struct sealing_key *next,
        struct aliyun_iot_error **error)
{
    return write_keys_file(folder, path, next, NULL, error);
}
