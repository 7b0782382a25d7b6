/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

/* The module hides it. */
#include "../../provider/pem.c"

#define LABEL "ALIYUN-IOT IDENTITY"
#define LINE_64 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2"
#define LINE_250                                                                                   \
    LINE_64 LINE_64 LINE_64 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdH"

static int core_gets(OSSL_CORE_BIO *bio, char *buffer, int size)
{
    return BIO_gets((BIO *)bio, buffer, size);
}

static int core_ctrl(OSSL_CORE_BIO *bio, int command, long number, void *pointer)
{
    return (int)BIO_ctrl((BIO *)bio, command, number, pointer);
}

static const struct provider provider = {.bio_gets = core_gets, .bio_ctrl = core_ctrl};

static BIO *open_text(const char *text, struct pem *pem)
{
    BIO *bio = BIO_new_mem_buf(text, -1);

    assert_non_null(bio);
    pem_open(pem, &provider, (OSSL_CORE_BIO *)bio);
    return bio;
}

/* How many bytes libcrypto reads for one block, sound or broken. */
static int libcrypto_reads(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long size;
    int read;

    PEM_read_bio(bio, &name, &header, &data, &size);
    read = BIO_tell(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    BIO_free(bio);
    return read;
}

static int we_read(const char *text)
{
    struct pem pem;
    BIO *bio = open_text(text, &pem);
    int read;

    if (pem_next_block(&pem))
        pem_skip_block(&pem);
    read = BIO_tell(bio);
    BIO_free(bio);
    return read;
}

static void a_foreign_block_is_read_as_far_as_libcrypto_reads_it(void **state)
{
    static const char *const texts[] = {
            "",
            "\n",
            "no PEM at all",
            "-----BEGIN X-----\nQUJD\n-----END X-----\nmore\n",
            "-----BEGIN X-----\r\nQUJD\r\n-----END X-----\r\nmore\r\n",
            "\xEF\xBB\xBF-----BEGIN X-----\nQUJD\n-----END X-----\nmore\n",
            "text\n\xEF\xBB\xBF-----BEGIN X-----\nQUJD\n-----END X-----\nmore\n",
            "text\n-----BEGIN X----- \t\nQUJD\n-----END X-----",
            "-----BEGIN X\n-----BEGIN Y-----\nQUJD\n-----END Y-----\nmore\n",
            "-----BEGIN -----\nQUJD\n-----END -----\nmore\n",
            "-----BEGIN\n-----BEGIN ----\nmore\n",
            "-----BEGIN X-----\nQUJD\n-----END Y-----\nmore\n-----END X-----\n",
            "-----BEGIN X-----\nQUJD\n-----BEGIN X-----\nQUJD\n-----END X-----\nmore\n",
            "-----BEGIN X-----\nQUJD\n",
            "-----BEGIN X-----\n-----END X-----\nmore\n",
            "-----BEGIN X-----\n\nQUJD\n-----END X-----\nmore\n",
            "-----BEGIN X-----\nQUJD\n\nQUJD\n-----END X-----\nmore\n",
            "-----BEGIN X-----\n\nQUJD\nQUJD\nmore\n-----END X-----\n",
            "-----BEGIN X-----\n\nQUJD\n\nmore\n-----END X-----\n",
            "-----BEGIN X-----\nA: b\n\n" LINE_64 "\nQUJD\n-----END X-----\nmore\n",
            "-----BEGIN X-----\nA: b\n\n" LINE_64 "Q\nmore\n-----END X-----\n",
            "-----BEGIN X-----\n" LINE_250 "QUJD\n-----END X-----\nmore\n",
            "-----BEGIN X-----\n" LINE_250 "QUJDRUZH\n\nQUJD\n\nmore\n-----END X-----\n",
            "-----BEGIN X-----\n" LINE_250 "QUJD-----END X-----\nmore\n-----END X-----\n",
            LINE_250 "QUJD-----BEGIN X-----\nQUJD\n-----END X-----\nmore\n",
    };

    (void)state;
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        if (we_read(texts[index]) != libcrypto_reads(texts[index]))
            fail_msg("text %zu: read %d bytes, libcrypto reads %d:\n%s", index,
                    we_read(texts[index]), libcrypto_reads(texts[index]), texts[index]);
}

static void assert_content(const char *text, const char *expected)
{
    BUF_MEM *content = NULL;
    const char *problem;
    struct pem pem;
    BIO *bio = open_text(text, &pem);

    assert_true(pem_next_block(&pem));
    assert_true(pem_label_is(&pem, LABEL));
    problem = pem_read_block(&pem, LABEL, 1024, &content);
    if (problem)
        fail_msg("the block %s", problem);
    assert_int_equal(content->length, strlen(expected));
    assert_memory_equal(content->data, expected, content->length);
    BUF_MEM_free(content);
    BIO_free(bio);
}

static void a_block_of_ours_is_decoded(void **state)
{
    (void)state;
    assert_content("-----BEGIN " LABEL "-----\nQUJD\n-----END " LABEL "-----\n", "ABC");
    assert_content("-----BEGIN " LABEL "-----\nQQ==\n-----END " LABEL "-----", "A");
    assert_content(
            "a: b\n\n-----BEGIN " LABEL "-----\r\nQUI=\r\n-----END " LABEL "-----\r\n", "AB");
    assert_content("-----BEGIN " LABEL "-----\n\nQUJ\nD\n\n-----END " LABEL "-----\n", "ABC");
    assert_content("-----BEGIN " LABEL "-----\n" LINE_64 LINE_64 LINE_64 LINE_64 LINE_64
                   "\n-----END " LABEL "-----\n",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv");
}

static void assert_problem(const char *body, const char *phrase)
{
    BUF_MEM *content = NULL;
    const char *problem;
    struct pem pem;
    BIO *bio = open_text(body, &pem);

    problem = pem_read_block(&pem, LABEL, 64, &content);
    if (!problem || !strstr(problem, phrase))
        fail_msg("%s: %s, not %s", body, problem ? problem : "taken", phrase);
    assert_null(content);
    BIO_free(bio);
}

static void a_broken_block_of_ours_is_described(void **state)
{
    static const char *const not_base64[] = {"A", "QUJ", "QUJDR", "!!!!", "QUJD-EFG", "QQ==QUJD",
            "Q===", "====", "QR==", "QUJ=Q", " QUJD"};
    char body[256];

    (void)state;
    assert_problem("-----END " LABEL "-----\n", "empty");
    assert_problem("\n\n-----END " LABEL "-----\n", "empty");
    assert_problem("QUJD\n", "no END line");
    assert_problem("", "no END line");
    assert_problem("QUJD\n-----END X-----\n", "cut off");
    assert_problem("QUJD\n-----BEGIN " LABEL "-----\n", "cut off");
    assert_problem(LINE_64 "\nQ\n-----END " LABEL "-----\n", "too long");
    for (size_t index = 0; index < sizeof(not_base64) / sizeof(not_base64[0]); index++) {
        snprintf(body, sizeof(body), "%s\n-----END " LABEL "-----\n", not_base64[index]);
        assert_problem(body, "not base64");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_foreign_block_is_read_as_far_as_libcrypto_reads_it),
            cmocka_unit_test(a_block_of_ours_is_decoded),
            cmocka_unit_test(a_broken_block_of_ours_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
