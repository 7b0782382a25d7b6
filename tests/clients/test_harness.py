# SPDX-License-Identifier: Apache-2.0
"""The example harness: libmosquitto, with an identity of its own for each connection."""
import collections
import re

import pytest

from clients import PROGRAMS
from machine import PRODUCT

HARNESS = PROGRAMS / "harness"


@pytest.fixture
def fleet(machine):
    """As fast as the settings allow."""
    machine.write_settings("timeout = 5m", quota="rate = 900", trace="level = off")
    return machine


def run(machine, broker, ca, threads, *devices, **options):
    done = machine.run(HARNESS, "localhost", broker.port, ca / "ca.pem", threads, *devices,
                       timeout=600, **options)
    counts = re.search(r"connected (\d+), failed (\d+), in [0-9.]+ s: [0-9.]+ a second",
                       done.stdout)
    assert counts, done.stdout + done.stderr
    return done, int(counts[1]), int(counts[2])


@pytest.mark.row("libmosquitto", "aliyun_iot_use_identity()")
def test_1000_devices_connect_each_with_its_own_certificate_and_one_call(
        fleet, cloud, broker, server_certificate):
    serials = [cloud.serial(PRODUCT, f"harness-{number}") for number in range(1000)]
    done, connected, failed = run(fleet, broker, server_certificate, 8, 1000,
                                  f"aliyun-iot://{PRODUCT}/harness-{{}}")
    assert (connected, failed) == (1000, 0), done.stderr
    assert done.returncode == 0
    assert sorted(broker.serials) == sorted(serials)
    calls = collections.Counter(call["device"] for call in cloud.calls())
    assert set(calls.values()) == {1}
    assert len(calls) == 1000
    # All were open at once.
    log = broker.log.read_text()
    assert log.rindex("New client connected") < log.index("Received DISCONNECT")


def test_a_list_of_uris_and_files_is_taken_from_standard_input(fleet, cloud, broker,
                                                               server_certificate):
    identity = fleet.identity_file(f"aliyun-iot://{PRODUCT}/device-3")
    wanted = [f"aliyun-iot://{PRODUCT}/device-1", "aliyun-iot:a1X509chain/device-2", identity]
    done, connected, failed = run(fleet, broker, server_certificate, 2,
                                  input="".join(f"{name}\n" for name in wanted))
    assert (connected, failed) == (3, 0), done.stderr
    assert sorted(broker.serials) == sorted([
        cloud.serial(PRODUCT, "device-1"), cloud.serial("a1X509chain", "device-2"),
        cloud.serial(PRODUCT, "device-3")])


def test_a_device_that_fails_is_named_and_the_others_connect(fleet, broker, server_certificate):
    wanted = [f"aliyun-iot://{PRODUCT}/device-1", f"aliyun-iot://{PRODUCT}/nowhere", "nowhere.pem"]
    done, connected, failed = run(fleet, broker, server_certificate, 2,
                                  input="".join(f"{name}\n" for name in wanted))
    assert (connected, failed) == (1, 2)
    assert done.returncode == 1
    assert re.search("/nowhere: .*the device does not exist", done.stderr)
    assert re.search("^nowhere.pem: no identity", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("wrong", ["CA", "name"])
def test_a_server_that_is_not_the_expected_one_is_refused(fleet, cloud, broker, server_certificate,
                                                          wrong):
    """The SSL_CTX is the harness's own, and so is the verification."""
    host = "localhost" if wrong == "CA" else "127.0.0.2"
    ca = cloud.device_ca if wrong == "CA" else server_certificate / "ca.pem"
    done = fleet.run(HARNESS, host, broker.port, ca, 1, input=f"aliyun-iot:{PRODUCT}/device-1\n")
    assert done.returncode == 1
    assert "connected 0, failed 1" in done.stdout
    assert broker.serials == []
