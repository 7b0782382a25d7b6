/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/audit/chain.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/json.h"
#include "base/text.h"

enum { DEPTH_MAX = 4 };

const char chain_start[CHAIN_HASH_SIZE] =
        "0000000000000000000000000000000000000000000000000000000000000000";
const char chain_resume[] = "resume";

static const double seq_max = 9007199254740992.0; /* 2^53: what JSON numbers hold exactly */

bool chain_link_read(const char *line, size_t size, struct chain_link *link)
{
    const char *problem = NULL;
    CLEANUP(json_free) cJSON *object = json_parse(line, size, DEPTH_MAX, &problem);
    const cJSON *seq = cJSON_GetObjectItemCaseSensitive(object, "seq");
    const char *previous = json_string(object, "previous");
    const char *operation = json_string(object, "operation");
    double number = cJSON_IsNumber(seq) ? cJSON_GetNumberValue(seq) : 0;

    if (!object || number < 1 || number > seq_max || number != (double)(int64_t)number ||
            !operation || !previous || strlen(previous) != CHAIN_HASH_SIZE - 1 ||
            previous[strspn(previous, DIGITS "abcdef")])
        return false;
    link->seq = (int64_t)number;
    memcpy(link->previous, previous, CHAIN_HASH_SIZE);
    link->is_resume = strcmp(operation, chain_resume) == 0;
    return true;
}

/* Fetched once: each fetch takes locks, and as long as the hash of a line. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

void chain_hash(const char *line, size_t size, char hash[CHAIN_HASH_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned digest_size = 0;

    pthread_once(&sha256_once, fetch_sha256);
    /* Without memory, it stays zeros, which fit no line. */
    EVP_Digest(line, size, digest, &digest_size, sha256 ? sha256 : EVP_sha256(), NULL);
    text_write_hexadecimal(hash, digest, (CHAIN_HASH_SIZE - 1) / 2);
}
