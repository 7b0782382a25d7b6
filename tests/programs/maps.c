/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a URI, whether or not that succeeds, and prints the process's /proc/PID/maps. */
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/store.h>

int main(int argc, char **argv)
{
    OSSL_STORE_CTX *store = argc == 2 ? OSSL_STORE_open(argv[1], NULL, NULL, NULL, NULL) : NULL;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[8192];

    if (!store)
        ERR_print_errors_fp(stderr);
    OSSL_STORE_close(store);
    if (!maps)
        return 1;
    while (fgets(line, sizeof(line), maps))
        fputs(line, stdout);
    fclose(maps);
    return 0;
}
