/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses a PKCS#11 module for itself, and resolves a URI whose vault uses the same
 * one:
 *
 *     pkcs11_user MODULE PIN URI SETTINGS SETTINGS
 *
 * The second settings are for a child that it forks. The program's own session must be as before.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aliyun-iot/identity.h>
#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *module;

static void check(CK_RV result, const char *what)
{
    if (result == CKR_OK)
        return;
    fprintf(stderr, "%s: 0x%lx\n", what, result);
    exit(2);
}

static CK_SESSION_HANDLE log_in(char *pin)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = 8;
    CK_SESSION_HANDLE session;
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};

    check(module->C_Initialize(&arguments), "C_Initialize");
    check(module->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
    check(module->C_OpenSession(
                  slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
            "C_OpenSession");
    check(module->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)), "C_Login");
    return session;
}

static void check_session(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;

    check(module->C_GetSessionInfo(session, &info), "the program's session");
    if (info.state != CKS_RW_USER_FUNCTIONS) {
        fprintf(stderr, "the program's session is in state %lu\n", info.state);
        exit(2);
    }
}

static void resolve(const char *settings, const char *uri)
{
    struct aliyun_iot_identity *identity;
    struct aliyun_iot_error *error = NULL;

    if (!aliyun_iot_identity_resolve(settings, uri, &identity, NULL, &error)) {
        fprintf(stderr, "%s\n", aliyun_iot_error_message(error));
        exit(3);
    }
    aliyun_iot_identity_free(identity);
}

int main(int argc, char **argv)
{
    CK_RV (*list)(CK_FUNCTION_LIST **);
    CK_SESSION_HANDLE session;
    void *handle;
    int status;
    pid_t child;

    if (argc != 6 || !(handle = dlopen(argv[1], RTLD_NOW)))
        return 2;
    *(void **)&list = dlsym(handle, "C_GetFunctionList");
    check(list(&module), "C_GetFunctionList");
    session = log_in(argv[2]);
    resolve(argv[4], argv[3]);
    check_session(session);
    child = fork();
    if (child == 0) {
        resolve(argv[5], argv[3]);
        _exit(0);
    }
    waitpid(child, &status, 0);
    check_session(session);
    check(module->C_Finalize(NULL), "C_Finalize");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}
