/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order what runs at exit is registered, in a process that has not used OpenSSL yet. No
 * other test may be in this program.
 */
#include "unit.h"

#include <dlfcn.h>

#include <openssl/crypto.h>

#include "base/process.h"

typedef void exit_handler(void *argument);

static exit_handler *handlers[16];
static size_t count;

/* In the place of the C library's, which atexit() calls. */
int __cxa_atexit(exit_handler *handler, void *argument, void *library);

__attribute__((visibility("default"))) int __cxa_atexit(
        exit_handler *handler, void *argument, void *library)
{
    int (*real)(exit_handler *, void *, void *);

    *(void **)&real = dlsym(RTLD_NEXT, "__cxa_atexit");
    if (count < sizeof(handlers) / sizeof(handlers[0]))
        handlers[count++] = handler;
    return real(handler, argument, library);
}

static void openssl_ends_after_our_threads(void **state)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct fork_participant participant = {.lock = &lock};
    size_t before = count;

    (void)state;
#ifdef __SANITIZE_THREAD__
    /* ThreadSanitizer takes some calls of atexit() for itself. */
    skip();
#endif
    process_register(&participant);
    /* From 4.0 on, OpenSSL leaves what it has to the end of the process. */
    if (OPENSSL_version_major() >= 4) {
        assert_int_equal(before + 1, count);
        return;
    }
    assert_int_equal(before + 2, count);
    /* The last one runs first. */
    assert_true(handlers[before] == (exit_handler *)OPENSSL_cleanup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(openssl_ends_after_our_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
