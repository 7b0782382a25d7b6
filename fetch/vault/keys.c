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
    const char *key, *wrapped, *next, *next_wrapped, *key_by_next, *next_by_key;
};

static void release(struct keys_file *file)
{
    free(file->text);
}

static struct bytes bytes_of(const BUF_MEM *buffer)
{
    return (struct bytes){(const unsigned char *)buffer->data, buffer->length};
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
    } lines[] = {{"key", &file->key}, {"wrapped", &file->wrapped}, {"next", &file->next},
            {"next-wrapped", &file->next_wrapped}, {"key-by-next", &file->key_by_next},
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
           !*file->next == !*file->next_by_key && (*file->next || !*file->next_wrapped);
}

static int read_keys_file(
        int folder, const char *path, struct keys_file *keys, struct aliyun_iot_error **error)
{
    struct file file;
    const char *fault;
    files_problem problem = files_read(folder, FILES_KEYS, &file, &fault);
    bool is_text;

    *keys = (struct keys_file){NULL, "", "", "", "", "", ""};
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

static bool append_line(BUF_MEM *text, const char *word, const char *value)
{
    return !*value || buffer_append_format(text, "%s %s\n", word, value);
}

static bool append_change(BUF_MEM *text, const char *next_id, const char *next_wrapped,
        const struct sealing_key *older, const struct sealing_key *next)
{
    return append_line(text, "next", next_id) && append_line(text, "next-wrapped", next_wrapped) &&
           buffer_append_text(text, "key-by-next ") && append_sealed_key(text, older, next) &&
           buffer_append_text(text, "\nnext-by-key ") && append_sealed_key(text, next, older) &&
           buffer_append_text(text, "\n");
}

static int write_text(
        int folder, const char *path, const BUF_MEM *text, struct aliyun_iot_error **error)
{
    files_problem problem = files_write(folder, FILES_KEYS, text->data, text->length);

    return problem ? error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                             "%.300s/" FILES_KEYS " cannot be written: %s", path, problem)
                   : 1;
}

static int write_key(int folder, const char *path, const char *id, const char *wrapped,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *text = BUF_MEM_new();

    if (!text || !buffer_append_text(text, FIRST_LINE "\n") || !append_line(text, "key", id) ||
            !append_line(text, "wrapped", wrapped))
        return error_set_out_of_memory(error);
    return write_text(folder, path, text, error);
}

/* Unwraps a key of the file. *error: the first failure. */
static int unwrap(const char *text, const char *id, const struct key_source *source,
        struct sealing_key *key, struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *wrapped = BUF_MEM_new();

    if (!wrapped)
        return error_set_out_of_memory(error);
    if (base64_decode(text, strlen(text), wrapped))
        return error_set(
                error, ALIYUN_IOT_REASON_BAD_SETTINGS, "the vault's wrapped key is damaged");
    if (!key_source_unwrap(source, bytes_of(wrapped), key, error))
        return 0;
    if (is_id_of(id, key))
        return 1;
    OPENSSL_cleanse(key, sizeof(*key));
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS, "the vault's wrapped key is damaged");
}

/* While the key changes, it is not known beforehand which of the two the token can unwrap. */
static int find_wrapped_key(const struct keys_file *file, const struct key_source *source,
        struct sealing_key *own, struct aliyun_iot_error **error)
{
    if (*file->wrapped && *file->next_wrapped)
        return unwrap(file->wrapped, file->key, source, own, NULL) ||
               unwrap(file->next_wrapped, file->next, source, own, error);
    if (*file->next_wrapped)
        return unwrap(file->next_wrapped, file->next, source, own, error);
    if (*file->wrapped)
        return unwrap(file->wrapped, file->key, source, own, error);
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "the vault's key is not wrapped by a token: give it with aliyun-iot vault rekey, or "
            "name the key that it has in section [vault]");
}

int vault_keys_own(int folder, const char *path, const struct key_source *source,
        struct sealing_key *own, struct aliyun_iot_error **error)
{
    __attribute__((cleanup(release))) struct keys_file file = {.text = NULL};

    if (!key_source_is_wrapped(source))
        return key_source_read(source, own, error);
    return read_keys_file(folder, path, &file, error) &&
           find_wrapped_key(&file, source, own, error);
}

/* Reads the key of a source; one that is to be wrapped is made, and *wrapped is it in base64. */
static int get_key(const struct key_source *source, struct sealing_key *key, BUF_MEM *wrapped,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *bytes = BUF_MEM_new();

    if (!bytes || !wrapped || !buffer_text(wrapped))
        return error_set_out_of_memory(error);
    if (!key_source_is_wrapped(source))
        return key_source_read(source, key, error);
    if (!key_source_make(source, key, bytes, error))
        return 0;
    if (base64_append(wrapped, bytes->data, bytes->length))
        return 1;
    OPENSSL_cleanse(key, sizeof(*key));
    return error_set_out_of_memory(error);
}

int vault_keys_create(int folder, const char *path, const struct key_source *source,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *wrapped = BUF_MEM_new();
    struct sealing_key key;
    char id[ID_TEXT_SIZE];

    if (!get_key(source, &key, wrapped, error))
        return 0;
    text_write_hexadecimal(id, key.id, SEALING_ID_SIZE);
    OPENSSL_cleanse(&key, sizeof(key));
    return write_key(folder, path, id, wrapped->data, error);
}

/* Returns 1 with *next, which the caller cleanses; or 0 with *error set. */
static int begin_change(int folder, const char *path, const struct keys_file *file,
        const struct sealing_key *older, const struct key_source *source, struct sealing_key *next,
        struct aliyun_iot_error **error)
{
    CLEANUP(BUF_MEM_free) BUF_MEM *wrapped = BUF_MEM_new(), *text = BUF_MEM_new();
    char id[ID_TEXT_SIZE];

    if (!get_key(source, next, wrapped, error))
        return 0;
    if (is_id_of(file->key, next))
        return 1;
    text_write_hexadecimal(id, next->id, SEALING_ID_SIZE);
    if (text && buffer_append_text(text, FIRST_LINE "\n") && append_line(text, "key", file->key) &&
            append_line(text, "wrapped", file->wrapped) &&
            append_change(text, id, wrapped->data, older, next))
        return write_text(folder, path, text, error);
    return error_set_out_of_memory(error);
}

/* The key of a change that is under way, which must be the source's. */
static int resume_change(const struct keys_file *file, const struct key_source *source,
        struct sealing_key *next, struct aliyun_iot_error **error)
{
    if (*file->next_wrapped && key_source_is_wrapped(source))
        return unwrap(file->next_wrapped, file->next, source, next, error);
    if (!key_source_is_wrapped(source) && !key_source_read(source, next, error))
        return 0;
    if (!key_source_is_wrapped(source) && is_id_of(file->next, next))
        return 1;
    OPENSSL_cleanse(next, sizeof(*next));
    return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
            "the vault is being sealed anew with key %.32s; finish that first, with the same "
            "command and that key",
            file->next);
}

struct vault_keys *vault_keys_begin_change(int folder, const char *path,
        const struct sealing_key *older, const struct key_source *source,
        struct aliyun_iot_error **error)
{
    __attribute__((cleanup(release))) struct keys_file file = {.text = NULL};
    struct vault_keys *keys = NULL;
    struct sealing_key next;

    if (!read_keys_file(folder, path, &file, error))
        return NULL;
    if (*file.next ? resume_change(&file, source, &next, error)
                   : begin_change(folder, path, &file, older, source, &next, error))
        keys = vault_keys_load(folder, path, &next, error);
    OPENSSL_cleanse(&next, sizeof(next));
    return keys;
}

int vault_keys_end_change(int folder, const char *path, struct aliyun_iot_error **error)
{
    __attribute__((cleanup(release))) struct keys_file file = {.text = NULL};

    if (!read_keys_file(folder, path, &file, error))
        return 0;
    if (!*file.next)
        return error_set(error, ALIYUN_IOT_REASON_BAD_SETTINGS,
                "the vault %.300s is not being sealed anew any more", path);
    return write_key(folder, path, file.next, file.next_wrapped, error);
}
