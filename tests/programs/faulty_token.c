/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module with the fault that TOKEN_FAULT names: the module that TOKEN_MODULE names, but
 *
 *     extractable      it makes private keys that can be extracted
 *     insensitive      it makes private keys that are not sensitive
 *     no-key           it has no room for a private key
 *     no-certificate   it has no room for a certificate
 *     removed          it is away as long as the file exists that TOKEN_FILE names
 *     killed           the process is killed before the object that TOKEN_COUNT counts is made
 *     sessions         it has no more sessions at once than TOKEN_COUNT says
 *     late             it takes a while to make an object
 *     slow             C_Login() makes that file, and returns when somebody has removed it
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

enum { ATTRIBUTES_MAX = 32, LATE_US = 100 * 1000 };

static CK_FUNCTION_LIST *real, faulty;
static atomic_int created, sessions;

static int count_of_test(void)
{
    return atoi(getenv("TOKEN_COUNT"));
}

static bool has_fault(const char *name)
{
    return strcmp(getenv("TOKEN_FAULT"), name) == 0;
}

static bool is_of_class(const CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_CLASS class)
{
    for (CK_ULONG index = 0; index < count; index++)
        if (attributes[index].type == CKA_CLASS)
            return memcmp(attributes[index].pValue, &class, sizeof(class)) == 0;
    return false;
}

static void change(CK_ATTRIBUTE *attributes, CK_ULONG count, CK_ATTRIBUTE_TYPE type, CK_BBOOL *to)
{
    for (CK_ULONG index = 0; index < count; index++)
        if (attributes[index].type == type)
            attributes[index].pValue = to;
}

static CK_RV create_object(
        CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *made)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE changed[ATTRIBUTES_MAX];

    if (count > ATTRIBUTES_MAX ||
            (has_fault("no-key") && is_of_class(attributes, count, CKO_PRIVATE_KEY)) ||
            (has_fault("no-certificate") && is_of_class(attributes, count, CKO_CERTIFICATE)))
        return CKR_DEVICE_MEMORY;
    if (has_fault("killed") && ++created == count_of_test())
        kill(getpid(), SIGKILL);
    if (has_fault("late"))
        usleep(LATE_US);
    memcpy(changed, attributes, count * sizeof(*attributes));
    if (has_fault("extractable"))
        change(changed, count, CKA_EXTRACTABLE, &yes);
    if (has_fault("insensitive"))
        change(changed, count, CKA_SENSITIVE, &no);
    return real->C_CreateObject(session, changed, count, made);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (has_fault("removed") && access(getenv("TOKEN_FILE"), F_OK) == 0)
        return CKR_DEVICE_REMOVED;
    return real->C_SignInit(session, mechanism, key);
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
        CK_SESSION_HANDLE *session)
{
    CK_RV result;

    if (has_fault("sessions") && sessions >= count_of_test())
        return CKR_SESSION_COUNT;
    result = real->C_OpenSession(slot, flags, application, notify, session);
    sessions += result == CKR_OK;
    return result;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
    sessions--;
    return real->C_CloseSession(session);
}

static CK_RV log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG size)
{
    const char *file = getenv("TOKEN_FILE");

    if (has_fault("slow")) {
        fclose(fopen(file, "we"));
        while (access(file, F_OK) == 0)
            usleep(1000);
    }
    return real->C_Login(session, user, pin, size);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    void *handle = dlopen(getenv("TOKEN_MODULE"), RTLD_NOW);
    CK_RV (*get)(CK_FUNCTION_LIST **);
    CK_RV result;

    *(void **)&get = dlsym(handle, "C_GetFunctionList");
    result = get(&real);
    faulty = *real;
    faulty.C_CreateObject = create_object;
    faulty.C_SignInit = sign_init;
    faulty.C_Login = log_in;
    faulty.C_OpenSession = open_session;
    faulty.C_CloseSession = close_session;
    *list = &faulty;
    return result;
}
