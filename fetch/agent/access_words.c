/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/access_words.h"

#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { SERVERS_MAX = 4 /* in a message, which has little room */ };

/* Text that a shell takes for one word, whatever it is. */
static bool append_word(BUF_MEM *message, const char *text)
{
    if (*text && !text[strspn(text, ALPHANUMERIC "_-@.:/=+,%")])
        return buffer_append_text(message, text);
    if (!buffer_append_text(message, "'"))
        return false;
    for (; *text; text++) {
        /* What cannot be typed becomes a question mark. */
        char shown = *text < ' ' || *text > '~' ? '?' : *text;

        if (shown == '\'' ? !buffer_append_text(message, "'\\''")
                          : !buffer_append(message, &shown, 1))
            return false;
    }
    return buffer_append_text(message, "'");
}

static bool append_option(BUF_MEM *message, const char *option, const char *value)
{
    return buffer_append_text(message, option) && append_word(message, value);
}

static bool append_known(BUF_MEM *message, const char *option, enum known known, const char *value)
{
    return known == KNOWN_NO ||
           append_option(message, option, known == UNKNOWN ? "unknown" : value);
}

static bool append_principal(BUF_MEM *message, const struct principal *principal)
{
    bool written = buffer_append_text(message, " --user ");

    written = written &&
              (principal->has_uid ? buffer_append_format(message, "'#%u'", (unsigned)principal->uid)
                                  : buffer_append_text(message, "unknown"));
    return written && append_known(message, " --unit ", principal->has_unit, principal->unit) &&
           append_known(message, " --socket ", principal->has_socket, principal->socket) &&
           append_known(message, " --container ", principal->is_in_a_container, "yes");
}

static bool append_server(BUF_MEM *message, const struct server_name *name)
{
    char address[ADDRESS_TEXT_SIZE];

    if (name->kind == SERVER_NAME_DNS)
        return append_option(message, " --server ", name->dns);
    if (name->kind == SERVER_NAME_ODD)
        return true;
    address_write(&name->address, address);
    return append_option(message, " --server ", address);
}

static bool append_handshake(BUF_MEM *message, const struct handshake *handshake)
{
    const struct transcript *transcript = &handshake->transcript;

    if (handshake->problem)
        return true;
    if (handshake->is_tls_1_3)
        return buffer_append_text(message, " --usage tls-client --tls 1.3");
    if (!buffer_append_text(message, " --usage tls-client --tls 1.2") ||
            (transcript->has_sni && !append_option(message, " --sni ", transcript->sni)))
        return false;
    for (size_t index = 0; index < transcript->names->count && index < SERVERS_MAX; index++)
        if (!append_server(message, &transcript->names->names[index]))
            return false;
    return true;
}

static bool append_who(BUF_MEM *message, const struct principal *principal)
{
    if (!principal->has_uid)
        return buffer_append_text(message, "a program of a user whom the agent cannot tell");
    if (!buffer_append_format(message, "a program of uid %u", (unsigned)principal->uid))
        return false;
    return principal->has_unit != KNOWN_YES || append_option(message, " in unit ", principal->unit);
}

/* With the instance that the agent's settings add. */
static bool append_uri(BUF_MEM *message, const struct access *access)
{
    return buffer_append_format(message, " aliyun-iot:%s", access->device) &&
           (!access->instance || buffer_append_format(message, "'?instance=%s'", access->instance));
}

bool access_write_not_served(uid_t uid, BUF_MEM *message)
{
    return buffer_append_format(message,
                   "uid %u may not use this agent, which serves uid %u and root alone",
                   (unsigned)uid, (unsigned)geteuid()) &&
           buffer_text(message);
}

bool access_write_denied(const struct access *access, BUF_MEM *message)
{
    const struct principal *principal = &access->principal;
    const char *advice = "";

    if (!access->policy)
        return access_write_not_served(principal->uid, message);
    if (access->decision.would_allow_tls_1_2)
        advice = "TLS 1.3 hides the server, so limit the program to TLS 1.2; or ";
    return append_who(message, principal) &&
           buffer_append_format(message,
                   " may not %s %s; %sask for a rule: aliyun-iot policy explain",
                   rule_operation_name(access->request.operation), access->device, advice) &&
           append_principal(message, principal) &&
           append_option(
                   message, " --operation ", rule_operation_name(access->request.operation)) &&
           append_uri(message, access) &&
           (!access->has_handshake || append_handshake(message, &access->handshake)) &&
           buffer_text(message);
}

bool access_write_limited(const struct access *access, BUF_MEM *message)
{
    return append_who(message, &access->principal) &&
           buffer_append_format(message,
                   " asks to %s %s more often than it may; ask again later, or ask the "
                   "administrator of the agent for a higher limit",
                   rule_operation_name(access->request.operation), access->device) &&
           buffer_text(message);
}
