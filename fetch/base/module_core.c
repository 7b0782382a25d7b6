/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into each module, in place of process.c and cryptography.c. */
#include "base/module.h"

static const struct core_functions *_Atomic core;

void module_use_core(const struct core_functions *functions)
{
    core = functions;
}

OSSL_LIB_CTX *cryptography_context(struct aliyun_iot_error **error)
{
    return core->cryptography_context(error);
}

void process_register(struct fork_participant *participant)
{
    core->process_register(participant);
}

void process_unregister(struct fork_participant *participant)
{
    core->process_unregister(participant);
}

void process_leave_gate(void)
{
    core->process_leave_gate();
}

void process_enter_gate(void)
{
    core->process_enter_gate();
}

void process_hold_exit(void)
{
    core->process_hold_exit();
}

void process_release_exit(void)
{
    core->process_release_exit();
}

void process_renew_exit_handler(void)
{
    core->process_renew_exit_handler();
}

void process_sleep(int64_t pause_ms)
{
    core->process_sleep(pause_ms);
}

bool process_lacks_threads(void)
{
    return core->process_lacks_threads();
}
