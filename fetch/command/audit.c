/* SPDX-License-Identifier: Apache-2.0 */
/* aliyun-iot audit: verifies and shows audit logs. */
#include "command/audit.h"

#include <string.h>

#include "command/command.h"

int command_audit(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "verify") == 0)
        return audit_verify(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return audit_show(argc - 1, argv + 1);
    return fail_usage("audit takes verify or show; see aliyun-iot help audit");
}
