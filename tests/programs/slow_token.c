/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that is as slow as the test wants: the one that SLOW_TOKEN_MODULE names, but
 * C_Login() makes the file SLOW_TOKEN_WAITS and returns when somebody has removed it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *real, slow;

static CK_RV log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG size)
{
    const char *file = getenv("SLOW_TOKEN_WAITS");

    fclose(fopen(file, "we"));
    while (access(file, F_OK) == 0)
        usleep(1000);
    return real->C_Login(session, user, pin, size);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    void *handle = dlopen(getenv("SLOW_TOKEN_MODULE"), RTLD_NOW);
    CK_RV (*get)(CK_FUNCTION_LIST **);
    CK_RV result;

    *(void **)&get = dlsym(handle, "C_GetFunctionList");
    result = get(&real);
    slow = *real;
    slow.C_Login = log_in;
    *list = &slow;
    return result;
}
