# SPDX-License-Identifier: Apache-2.0
"""The agent's systemd unit: how tight it is, and that the agent works under it.

systemd itself does not run here. What is applied to a running agent is the unit's filter of system
calls, its limits, its missing capabilities, and those of its switches that systemd makes a filter
of: RestrictAddressFamilies=, RestrictNamespaces= and MemoryDenyWriteExecute=.
"""
import errno
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from machine import (AGENT_BUILD, BUILD, COMMAND, PATIENCE_S, PRODUCT, ROOT, THROUGH_AGENT,
                     sanitizer_environment)
from principals import as_user, needs_root

SOURCE = ROOT / "conf" / "systemd"
SANDBOX = ROOT / "tests" / "programs" / "sandbox.py"
PYTHON = "/usr/bin/python3"
URI = f"aliyun-iot:{PRODUCT}/device-1"

# Of upstream's gssproxy.service, hardened in October 2023, as systemd 252 measures it. Debian 12's
# is older: it has no sandbox, and 9.6.
GSSPROXY_EXPOSURE = 1.7

# The switches of a unit that forbid system calls because of their arguments, with the errors that
# systemd gives (src/shared/seccomp-util.c). The words after the unit are the program's.
SWITCHES = """
import errno, mmap, os, socket, sys
import seccomp
from seccomp import Arg, EQ, ERRNO, MASKED_EQ

FAMILIES = 46  # AF_MAX of Linux 6
NEW_NAMESPACES = {0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000,
                  0x40000000}
unit = dict(line.strip().split("=", 1) for line in open(sys.argv[1])
            if "=" in line and not line.startswith("#"))
rules = seccomp.SyscallFilter(seccomp.ALLOW)
allowed = {getattr(socket, name) for name in unit["RestrictAddressFamilies"].split()}
for family in set(range(FAMILIES)) - allowed:
    rules.add_rule(ERRNO(errno.EAFNOSUPPORT), "socket", Arg(0, EQ, family))
assert unit["RestrictNamespaces"] == unit["MemoryDenyWriteExecute"] == "yes"
for flag in NEW_NAMESPACES:
    for call in ("unshare", "clone"):
        rules.add_rule(ERRNO(errno.EPERM), call, Arg(0, MASKED_EQ, flag, flag))
rules.add_rule(ERRNO(errno.EPERM), "setns")
rules.add_rule(ERRNO(errno.ENOSYS), "clone3")
both = mmap.PROT_WRITE | mmap.PROT_EXEC
rules.add_rule(ERRNO(errno.EPERM), "mmap", Arg(2, MASKED_EQ, both, both))
for call in ("mprotect", "pkey_mprotect"):
    rules.add_rule(ERRNO(errno.EPERM), call, Arg(2, MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC))
rules.load()
os.execv(sys.argv[2], sys.argv[2:])
"""

pytestmark = [pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own"),
              pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")]


@pytest.fixture
def unit(tmp_path):
    """As it is installed."""
    path = tmp_path / "aliyun-iot-agent.service"
    text = (SOURCE / "aliyun-iot-agent.service.in").read_text()
    path.write_text(text.replace("@sbindir@", "/usr/sbin"))
    return path


def exposure(unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)],
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def test_the_unit_is_not_more_exposed_than_gssproxys_hardened_one(unit):
    assert exposure(unit) <= GSSPROXY_EXPOSURE


def test_the_unit_is_not_more_exposed_than_this_systems_gssproxys(unit, tmp_path):
    done = subprocess.run(["apt-get", "download", "gssproxy"], cwd=tmp_path, capture_output=True,
                          text=True, check=False, timeout=PATIENCE_S)
    packages = [*tmp_path.glob("gssproxy_*.deb")]
    if done.returncode != 0 or not packages:
        pytest.skip("the package gssproxy cannot be had")
    subprocess.run(["dpkg-deb", "-x", packages[0], tmp_path / "gssproxy"], check=True)
    other = next((tmp_path / "gssproxy").rglob("system/gssproxy.service"))
    assert exposure(unit) <= exposure(other)


def test_the_unit_leaves_out_what_would_hide_who_asks(unit):
    names = {line.partition("=")[0] for line in unit.read_text().splitlines()}
    assert not names & {"PrivateUsers", "ProtectProc", "ProcSubset", "PrivatePIDs",
                        "DynamicUser"}


def with_switches(unit):
    """Words before a program's: under the switches of the unit."""
    return [PYTHON, "-c", SWITCHES, str(unit)]


def under_the_unit(unit):
    """Words before the program's: of another user, without capabilities."""
    return [*as_user(2001)[:-2], "--bounding-set=-all", "--inh-caps=-all", *with_switches(unit),
            PYTHON, str(SANDBOX), str(unit)]


@needs_root
@pytest.mark.skipif(bool(sanitizer_environment()) or AGENT_BUILD != BUILD,
                    reason="a sanitizer makes calls of its own")
def test_the_agent_works_under_the_filter_and_the_limits_of_the_unit(machine, unit):
    """It fetches, signs, reloads, writes its logs and ends, with a policy and for others."""
    # A name, so that the C library looks for the machine's addresses.
    machine.write_settings(f"endpoint = {machine.cloud.endpoint.replace('127.0.0.1', 'localhost')}",
                           audit="file = audit.log", metrics="file = agent.prom")
    agent = machine.use_agent(policy="[policy]\nversion = 1\n[rule/a]\neffect = allow\nusers = #0\n"
                              "devices = */*\noperations = load, sign\n")
    agent.process.terminate()
    assert agent.process.wait() == 0
    for path in (agent.folder, *agent.folder.iterdir(), machine.runtime, machine.home):
        shutil.chown(path, 2001, 2001)
    # What only root may read here is for all to read.
    for path in (machine.cloud.ca, *pathlib.Path(machine.cloud.ca).parents):
        if str(path).startswith("/tmp/"):
            pathlib.Path(path).chmod(pathlib.Path(path).stat().st_mode | 0o055)
    # The sandbox has to read itself.
    agent.command = [*under_the_unit(unit), *agent.command]
    for folder in (unit, *unit.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    machine.settings.write_text(machine.settings.read_text().replace(
        "[agent]\n", "[agent]\nowner = #2001\n"))
    agent.start()
    status = pathlib.Path(f"/proc/{agent.process.pid}/status").read_text()
    assert re.search(r"(?m)^Seccomp:\s+2$", status)
    assert re.search(r"(?m)^NoNewPrivs:\s+1$", status)
    assert re.search(r"(?m)^Cap(Prm|Eff|Bnd|Amb):\s+0+$", status)
    assert re.search(r"(?m)^Uid:\s+2001\t2001", status)
    limits = pathlib.Path(f"/proc/{agent.process.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits)
    assert int(re.search(r"Max open files\s+\d+\s+(\d+)", limits)[1]) <= 16384
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr
    message = machine.directory / "message"
    message.write_text("a message")
    done = machine.run("openssl", "pkeyutl", "-sign", "-rawin", "-digest", "sha256", "-inkey", URI,
                       "-in", message, "-hexdump")
    assert done.returncode == 0, done.stderr
    agent.process.send_signal(signal.SIGHUP)
    assert agent.ask(operation="reload")["ok"], agent.log.read_text()
    done = machine.run(COMMAND, "audit", "verify", agent.folder / "audit.log")
    assert done.returncode == 0, done.stderr
    agent.process.terminate()
    assert agent.process.wait() == 0, agent.log.read_text()


def test_the_filter_ends_a_program_that_makes_another_call(unit):
    """Otherwise, the test above would show nothing."""
    for call in ("os.chroot('/')", "os.setpriority(os.PRIO_PROCESS, 0, 1)", "os.setuid(0)"):
        done = subprocess.run([PYTHON, str(SANDBOX), str(unit), PYTHON, "-c",
                               f"import os; {call}"], capture_output=True, check=False)
        assert done.returncode == -signal.SIGSYS, call
    for call in ("ptrace(0, 0, 0, 0)", "mount(0, 0, 0, 0, 0)"):
        done = subprocess.run([PYTHON, str(SANDBOX), str(unit), PYTHON, "-c",
                               f"import ctypes; ctypes.CDLL(None).{call}"], capture_output=True,
                              check=False, timeout=PATIENCE_S)
        assert done.returncode == -signal.SIGSYS, (call, done.stderr)
    done = subprocess.run([PYTHON, str(SANDBOX), str(unit), PYTHON, "-c", "print(1)"],
                          capture_output=True, check=False)
    assert done.stdout == b"1\n"


@pytest.mark.parametrize("call, error", [
    ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", errno.EAFNOSUPPORT),
    ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", errno.EAFNOSUPPORT),
    ("mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)", errno.EPERM),
    ("socket.socket(socket.AF_UNIX)", 0),
    ("mmap.mmap(-1, 4096)", 0)])
def test_the_switches_forbid_what_they_name(unit, call, error):
    program = (f"import mmap, socket, sys\ntry:\n    {call}\nexcept OSError as error:\n"
               "    sys.exit(error.errno)")
    done = subprocess.run([*with_switches(unit), PYTHON, "-c", program], capture_output=True,
                          check=False, timeout=PATIENCE_S)
    assert done.returncode == error, done.stderr


@needs_root
def test_the_switches_forbid_new_namespaces(unit):
    for kind in ("--user", "--mount", "--net", "--pid"):
        done = subprocess.run([*with_switches(unit), shutil.which("unshare"), kind, "true"],
                              capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode != 0 and "Operation not permitted" in done.stderr, done.stderr


@pytest.mark.parametrize("wrong", ["", "TasksMax=many\n", "NoSuchSetting=yes\n"])
def test_the_units_are_well_formed(unit, tmp_path, wrong):
    """And a wrong line is complained of, so that silence means something."""
    socket = tmp_path / "aliyun-iot-agent.socket"
    shutil.copy(SOURCE / "aliyun-iot-agent.socket", socket)
    unit.write_text(unit.read_text().replace("/usr/sbin/aliyun-iot-agent", "/bin/true") + wrong)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit), str(socket)],
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    complaints = [line for line in done.stderr.splitlines() if "aliyun-iot" in line]
    assert bool(complaints) == bool(wrong), done.stderr
