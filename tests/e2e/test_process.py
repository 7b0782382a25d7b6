# SPDX-License-Identifier: Apache-2.0
"""The provider in the life of a process: its end, its library contexts, and configuration loops."""
import os
import re
import subprocess
import time

import pytest

from machine import BUILD, COMMAND, MODULE, PATIENCE_S, openssl_cnf

PROGRAMS = BUILD / "tests" / "programs"
LEAVER = PROGRAMS / "leaver"
URI = "aliyun-iot://a1X509rsa00/device-1"


def await_calls(count, cloud, process):
    while len(cloud.calls()) < count:
        assert process.poll() is None
        time.sleep(0.01)


def test_a_process_ends_at_once_while_a_call_is_under_way(machine, cloud):
    machine.write_settings("timeout = 1h\ntry-timeout = 1h")
    cloud.fault({"silent": True})
    process = machine.start(LEAVER, "exit", URI, stdin=subprocess.PIPE)
    await_calls(1, cloud, process)
    process.stdin.close()
    assert process.wait(timeout=PATIENCE_S) == 0


@pytest.mark.parametrize("stall", [20, 0.2], ids=["before-an-answer", "during-an-answer"])
def test_a_process_that_ends_slowly_during_a_refresh_ends_well(machine, cloud, stall):
    """OpenSSL has ended when the refresh goes on, or is given up."""
    machine.write_settings(cache="ttl = 1s\nmax-stale = 1h")
    process = machine.start(LEAVER, "linger", URI, stdin=subprocess.PIPE)
    process.stdin.write("use\n")
    process.stdin.flush()
    await_calls(1, cloud, process)
    cloud.fault({"stall_before_headers": stall})
    while len(cloud.calls()) < 2:
        process.stdin.write("use\n")
        process.stdin.flush()
        time.sleep(0.05)
    process.stdin.close()
    assert process.wait(timeout=PATIENCE_S) == 0


def test_a_child_is_forked_while_threads_use_openssl_and_a_connection_is_kept_alive(machine):
    # The memory of a sanitizer takes long to copy.
    forks = 50 if "ALIYUN_IOT_SANITIZED" in os.environ else 500
    done = machine.run(PROGRAMS / "busy_forker", forks, URI)
    assert (done.returncode, done.stdout) == (0, "0 hung\n"), done.stderr


def test_a_process_forks_while_dns_does_not_answer(machine):
    machine.write_settings("endpoint = https://iot.example.com\ntimeout = 1s")
    done = machine.run(PROGRAMS / "slow_dns", URI)
    assert (done.returncode, done.stdout) == (0, "forked during a lookup\n"), done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_process_that_can_have_no_thread_fetches_on_its_own(machine, cloud, host):
    machine.write_settings("endpoint = " + cloud.endpoint.replace("127.0.0.1", host))
    done = machine.run(PROGRAMS / "threadless", URI, URI, "aliyun-iot:a1X509rsa00/device-2")
    assert done.returncode == 0, done.stderr
    assert len(cloud.calls()) == 2
    assert len(set(done.stdout.split())) == 2


def test_a_name_that_needs_a_thread_is_an_error_that_names_the_limit(machine):
    machine.write_settings("timeout = 2s\n"
                           "endpoint = https://iot.example.com\n"
                           "proxy = http://proxy.invalid:3128")
    done = machine.run(PROGRAMS / "threadless", URI)
    assert done.returncode == 1
    assert "RLIMIT_NPROC" in done.stderr and "TasksMax" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_under_rlimit_nproc_fetches(machine, cloud):
    # What other users may enter and read.
    for folder in [*reversed(machine.directory.parents), machine.directory, cloud.directory]:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o005:
            folder.chmod(0o755)
    machine.settings.chmod(0o644)
    machine.write_settings(trace="level = off")
    done = machine.run("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups",
                       "prlimit", "--nproc=1", COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr


def test_a_child_inherits_no_connection(machine):
    done = machine.run(PROGRAMS / "inherited", URI)
    assert done.returncode == 0, done.stderr
    inherited = re.findall(r" (\d+) -> (.*)", done.stdout)
    opened = [target for name, target in inherited if int(name) > 2]
    connections = {line.split()[9] for line in done.stdout.splitlines()
                   if re.match(r" *\d+: [0-9A-F]+:", line)}
    # Before 8.10, libcurl's pair of sockets by which threads wake each other up is inherited. It
    # leads nowhere, and libcurl names it nowhere.
    assert len(opened) <= 2 and all(target.startswith("socket:") for target in opened), inherited
    assert not {target[len("socket:["):-1] for target in opened} & connections


def test_openssl_cleanup_after_use_is_clean(machine):
    done = machine.run(LEAVER, "cleanup", URI)
    assert done.returncode == 0, done.stderr


def test_library_contexts_without_configuration_share_one_call(machine, cloud):
    done = machine.run(LEAVER, "contexts", URI, environment={"MODULES": str(MODULE.parent)})
    assert done.returncode == 0, done.stderr
    assert len(cloud.calls()) == 1


def test_a_device_in_the_system_wide_configuration_makes_no_loop(machine, cloud):
    """openssl.cnf names a device's identity for every TLS connection, that to the cloud included."""
    identity = machine.identity_file(URI)
    cloud.reset()
    cnf = machine.directory / "loop.cnf"
    cnf.write_text(openssl_cnf().replace(
        "[openssl_init]\n", "[openssl_init]\nssl_conf = ssl_section\n") + f"""\
[ssl_section]
system_default = system_section
[system_section]
Certificate = {identity}
PrivateKey = {identity}
""")
    done = machine.run(COMMAND, "show", URI, environment={"OPENSSL_CONF": str(cnf)})
    assert done.returncode == 0, done.stderr
    assert len(cloud.calls()) == 1
