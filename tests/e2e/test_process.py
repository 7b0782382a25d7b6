# SPDX-License-Identifier: Apache-2.0
"""The provider in the life of a process: its end, its library contexts, and configuration loops."""
import subprocess
import time

from machine import BUILD, COMMAND, MODULE, DEFAULT_FIRST, OPENSSL_CNF

LEAVER = BUILD / "tests" / "programs" / "leaver"
URI = "aliyun-iot://a1X509rsa00/device-1"


def test_a_process_ends_at_once_while_a_call_is_under_way(machine, cloud):
    machine.write_settings("timeout = 60s")
    cloud.fault({"stall_before_headers": 20})
    process = machine.start(LEAVER, "exit", URI, stdin=subprocess.PIPE)
    while not cloud.calls():
        time.sleep(0.01)
    begun = time.monotonic()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert time.monotonic() - begun < 15


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
    cnf.write_text(OPENSSL_CNF.format(order=DEFAULT_FIRST, module=MODULE).replace(
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
