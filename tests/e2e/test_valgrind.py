# SPDX-License-Identifier: Apache-2.0
"""No invalid access and no leak, at the exit of real programs."""
import os

import pytest

from machine import BUILD, COMMAND, VALGRIND

pytestmark = pytest.mark.skipif("ALIYUN_IOT_SANITIZED" in os.environ,
                                reason="the sanitizer does this here")
URI = "aliyun-iot://a1X509rsa00/device-1"


@pytest.mark.parametrize("uri, status", [
    (URI, 0), ("aliyun-iot:a1X509ec000/device-1", 0), ("aliyun-iot:a1X509chain/device-1", 0),
    ("aliyun-iot:a1X509rsa00/nowhere", 1), ("aliyun-iot:a1Bad000000/mismatched-pair", 1),
    ("aliyun-iot:broken", 1)])
def test_openssl_storeutl_is_clean(machine, uri, status):
    done = machine.run(*VALGRIND, "openssl", "storeutl", "-noout", uri)
    assert done.returncode == status, done.stderr


def test_a_pem_identity_file_is_clean(machine):
    machine.write_settings("timeout = 60s")
    identity = machine.identity_file(URI)
    done = machine.run(*VALGRIND, "openssl", "pkey", "-noout", "-in", identity)
    assert done.returncode == 0, done.stderr


def test_the_command_is_clean(machine):
    done = machine.run(*VALGRIND, COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr


def test_library_contexts_that_come_and_go_are_clean(machine):
    done = machine.run(*VALGRIND, BUILD / "tests/programs/leaver", "contexts", URI,
                       environment={"MODULES": str(BUILD / "provider")})
    assert done.returncode == 0, done.stderr
