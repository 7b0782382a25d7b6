/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a URI through OpenSSL, as a set-user-ID program can: with the openssl.cnf beside it.
 *
 *     opener URI
 *
 * Prints "privileged SERIAL" or "ordinary SERIAL" (of the leaf, decimal).
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/x509.h>

/* The path of a file in the folder of this program. */
static int path_beside_program(const char *name, char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *slash;

    if (length < 0)
        return 0;
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= PATH_MAX)
        return 0;
    strcpy(slash + 1, name);
    return 1;
}

static void print_serial(X509 *leaf)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    char *serial = BN_bn2dec(number);

    printf("%s %s\n", getauxval(AT_SECURE) ? "privileged" : "ordinary", serial);
    OPENSSL_free(serial);
    BN_free(number);
}

/* Returns whether the URI has a certificate. */
static int open_uri(OSSL_LIB_CTX *context, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, context, NULL, NULL, NULL, NULL, NULL, NULL);
    int found = 0;

    while (store && !found && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *object = OSSL_STORE_load(store);

        if (object && OSSL_STORE_INFO_get_type(object) == OSSL_STORE_INFO_CERT) {
            print_serial(OSSL_STORE_INFO_get0_CERT(object));
            found = 1;
        }
        OSSL_STORE_INFO_free(object);
    }
    OSSL_STORE_close(store);
    return found;
}

int main(int argc, char **argv)
{
    OSSL_LIB_CTX *context;
    char configuration[PATH_MAX];
    int found = 0;

    if (argc != 2) {
        fputs("usage: opener URI\n", stderr);
        return 2;
    }
    /* The default context reads the openssl.cnf of the system, or of OPENSSL_CONF. */
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    context = OSSL_LIB_CTX_new();
    if (context && path_beside_program("openssl.cnf", configuration) &&
            OSSL_LIB_CTX_load_config(context, configuration))
        found = open_uri(context, argv[1]);
    if (!found)
        ERR_print_errors_fp(stderr);
    OSSL_LIB_CTX_free(context);
    return found ? 0 : 1;
}
