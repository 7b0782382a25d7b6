# SPDX-License-Identifier: Apache-2.0
"""Runs a program under a systemd unit's limits and its filter of system calls, without systemd:

    sandbox.py UNIT PROGRAM [ARGUMENT ...]

A call that the filter does not have ends the program, so that none goes unseen, whatever
SystemCallErrorNumber= says.
"""
import os
import resource
import subprocess
import sys

import seccomp

LIMITS = {"LimitCORE": resource.RLIMIT_CORE, "LimitNOFILE": resource.RLIMIT_NOFILE,
          "LimitMEMLOCK": resource.RLIMIT_MEMLOCK}


def settings(unit):
    with open(unit, encoding="utf-8") as file:
        for line in file:
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith("#"):
                yield key, value


def calls_of(word):
    """The names that a word of SystemCallFilter= stands for."""
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True,
                            text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:]]
    return {call for inner in words if inner and not inner.startswith("#")
            for call in calls_of(inner)}


def allowed_calls(unit):
    allowed = set()
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            for word in value.lstrip("~").split():
                if value.startswith("~"):
                    allowed -= calls_of(word)
                else:
                    allowed |= calls_of(word)
    return allowed


def main():
    unit, program = sys.argv[1], sys.argv[2:]
    calls = allowed_calls(unit)
    for key, value in settings(unit):
        if key in LIMITS:
            # systemd may raise a limit; here, it can only be lowered.
            most = resource.getrlimit(LIMITS[key])[1]
            if value != "infinity" and (most == resource.RLIM_INFINITY or int(value) < most):
                most = int(value)
            resource.setrlimit(LIMITS[key], (most, most))
    # Loading it also sets PR_SET_NO_NEW_PRIVS, as NoNewPrivileges= does.
    action = seccomp.KILL_PROCESS if hasattr(seccomp, "KILL_PROCESS") else seccomp.KILL
    program_filter = seccomp.SyscallFilter(action)
    for call in sorted(calls):
        # Some are of other architectures.
        try:
            program_filter.add_rule(seccomp.ALLOW, call)
        except (RuntimeError, ValueError):
            continue
    program_filter.load()
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
