/* SPDX-License-Identifier: Apache-2.0 */
#include "command/command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/json.h"

static inline void openssl_free(char *text)
{
    OPENSSL_free(text);
}
DEFINE_CLEANUP(char *, openssl_free);
DEFINE_CLEANUP(BIGNUM *, BN_free);

/* What is shown of a certificate: labels are those of the text, with '_' for ' ' in JSON. */
static const char *const labels[] = {
        "subject", "issuer", "serial", "not before", "not after", "key", "fingerprint"};

enum { LABEL_COUNT = sizeof(labels) / sizeof(labels[0]), LABEL_WIDTH = 14, NAME_SIZE = 32 };

struct description {
    BIO *values[LABEL_COUNT]; /* of memory */
};

static void description_release(struct description *description)
{
    for (size_t index = 0; index < LABEL_COUNT; index++)
        BIO_free_all(description->values[index]);
}
#define DESCRIPTION_CLEANUP __attribute__((cleanup(description_release)))

static X509 *certificate_of(const struct aliyun_iot_identity *identity, size_t index)
{
    size_t size;
    const unsigned char *der = aliyun_iot_identity_certificate(identity, index, &size);

    return d2i_X509(NULL, &der, (long)size);
}

static void describe_serial(BIO *out, const X509 *certificate)
{
    CLEANUP(BN_free) BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    CLEANUP(openssl_free) char *serial = number ? BN_bn2hex(number) : NULL;

    BIO_puts(out, serial ? serial : "?");
}

static void describe_key(BIO *out, const X509 *certificate)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    const char *type = key ? EVP_PKEY_get0_type_name(key) : "unknown";
    char group[64] = "";

    if (key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
        BIO_printf(out, "%s %s", type, group);
    else
        BIO_printf(out, "%s %d bits", type, key ? EVP_PKEY_get_bits(key) : 0);
}

static void describe_fingerprint(BIO *out, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[3 * EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (X509_digest(certificate, EVP_sha256(), digest, &size) &&
            OPENSSL_buf2hexstr_ex(text, sizeof(text), NULL, digest, size, ':'))
        BIO_printf(out, "SHA256 %s", text);
}

/* date_flags: of ASN1_TIME_print_ex(). Returns false without memory. */
static bool describe(
        const X509 *certificate, unsigned long date_flags, struct description *description)
{
    BIO **values = description->values;

    for (size_t index = 0; index < LABEL_COUNT; index++)
        if (!(values[index] = BIO_new(BIO_s_mem())))
            return false;
    X509_NAME_print_ex(values[0], X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    X509_NAME_print_ex(values[1], X509_get_issuer_name(certificate), 0, XN_FLAG_RFC2253);
    describe_serial(values[2], certificate);
    ASN1_TIME_print_ex(values[3], X509_get0_notBefore(certificate), date_flags);
    ASN1_TIME_print_ex(values[4], X509_get0_notAfter(certificate), date_flags);
    describe_key(values[5], certificate);
    describe_fingerprint(values[6], certificate);
    for (size_t index = 0; index < LABEL_COUNT; index++)
        if (BIO_write(values[index], "", 1) != 1)
            return false;
    return true;
}

static const char *value_of(const struct description *description, size_t index)
{
    char *text;

    BIO_get_mem_data(description->values[index], &text);
    return text;
}

static void print_field(const char *label, const char *value)
{
    printf("%s:%*s%s\n", label, LABEL_WIDTH - 1 - (int)strlen(label), "", value);
}

static void print_text(const struct description *description)
{
    for (size_t index = 0; index < LABEL_COUNT; index++)
        print_field(labels[index], value_of(description, index));
}

static cJSON *to_json(const struct description *description)
{
    cJSON *object = cJSON_CreateObject();

    for (size_t index = 0; object && index < LABEL_COUNT; index++) {
        char name[NAME_SIZE];
        char *blank;

        snprintf(name, sizeof(name), "%s", labels[index]);
        blank = strchr(name, ' ');
        if (blank)
            *blank = '_';
        cJSON_AddStringToObject(object, name, value_of(description, index));
    }
    return object;
}

struct wanted {
    const char *uri;
    bool json, chain, pem;
};

static int show_as_text(const struct aliyun_iot_identity *identity, const struct wanted *wanted)
{
    size_t count = aliyun_iot_identity_certificate_count(identity);
    char number[NAME_SIZE];

    for (size_t index = 0; index < (wanted->chain ? count : 1); index++) {
        CLEANUP(X509_free) X509 *certificate = certificate_of(identity, index);
        DESCRIPTION_CLEANUP struct description description = {.values = {NULL}};

        if (!certificate || !describe(certificate, ASN1_DTFLGS_RFC822, &description))
            return fail("out of memory");
        if (index > 0)
            putchar('\n');
        print_text(&description);
        if (index > 0)
            continue;
        snprintf(number, sizeof(number), "%zu", count);
        print_field("certificates", number);
        print_field("CertSN", aliyun_iot_identity_serial_number(identity));
        print_field("RequestId", aliyun_iot_identity_request_id(identity));
    }
    return EXIT_DONE;
}

static int show_as_json(const struct aliyun_iot_identity *identity)
{
    CLEANUP(json_free) cJSON *object = cJSON_CreateObject();
    CLEANUP(json_text_free) char *text = NULL;
    cJSON *certificates = cJSON_AddArrayToObject(object, "certificates");

    for (size_t index = 0; index < aliyun_iot_identity_certificate_count(identity); index++) {
        CLEANUP(X509_free) X509 *certificate = certificate_of(identity, index);
        DESCRIPTION_CLEANUP struct description description = {.values = {NULL}};

        if (!certificate || !describe(certificate, ASN1_DTFLGS_ISO8601, &description) ||
                !cJSON_AddItemToArray(certificates, to_json(&description)))
            return fail("out of memory");
    }
    if (cJSON_AddStringToObject(
                object, "serial_number", aliyun_iot_identity_serial_number(identity)) &&
            cJSON_AddStringToObject(object, "request_id", aliyun_iot_identity_request_id(identity)))
        text = cJSON_Print(object);
    if (!text)
        return fail("out of memory");
    puts(text);
    return EXIT_DONE;
}

static int show_as_pem(const struct aliyun_iot_identity *identity, const struct wanted *wanted)
{
    size_t count = wanted->chain ? aliyun_iot_identity_certificate_count(identity) : 1;

    for (size_t index = 0; index < count; index++) {
        CLEANUP(X509_free) X509 *certificate = certificate_of(identity, index);

        if (!certificate)
            return fail("out of memory");
        if (!PEM_write_X509(stdout, certificate))
            return fail("standard output: %s", strerror(errno));
    }
    return EXIT_DONE;
}

/* Returns EXIT_DONE; or EXIT_USAGE, and has said why. */
static int read_arguments(int argc, char **argv, struct wanted *wanted)
{
    const struct {
        const char *name;
        bool *place;
    } options[] = {{"--json", &wanted->json}, {"--chain", &wanted->chain}, {"--pem", &wanted->pem}};

    for (int index = 1; index < argc; index++) {
        size_t option = 0;

        while (option < 3 && strcmp(options[option].name, argv[index]) != 0)
            option++;
        if (option < 3)
            *options[option].place = true;
        else if (argv[index][0] == '-')
            return fail_usage(
                    "show has no option \"%.100s\"; see aliyun-iot help show", argv[index]);
        else if (wanted->uri)
            return fail_usage("show takes one URI; see aliyun-iot help show");
        else
            wanted->uri = argv[index];
    }
    if (!wanted->uri)
        return fail_usage("show takes one URI; see aliyun-iot help show");
    if (wanted->json && (wanted->pem || wanted->chain))
        return fail_usage("show --json has the whole chain, and goes with no other option");
    return EXIT_DONE;
}

int command_show(int argc, char **argv)
{
    CLEANUP(aliyun_iot_identity_free) struct aliyun_iot_identity *identity = NULL;
    struct wanted wanted = {.uri = NULL};
    int status = read_arguments(argc, argv, &wanted);

    if (status != EXIT_DONE)
        return status;
    identity = resolve_or_explain(wanted.uri, NULL);
    if (!identity)
        return EXIT_FAILED;
    return wanted.json  ? show_as_json(identity)
           : wanted.pem ? show_as_pem(identity, &wanted)
                        : show_as_text(identity, &wanted);
}
