# SPDX-License-Identifier: Apache-2.0
"""mosquitto's clients, and a broker that is a client of another, connect as a device."""
import subprocess

import pytest

from clients import is_at_least
from machine import PRODUCTS

row = pytest.mark.row


def common(device, broker, *options):
    return ["-h", "localhost", "-p", broker.port, "--cafile", device.ca, "-t", "topic", *options]


@pytest.mark.parametrize("product", PRODUCTS)
def test_clients_of_every_type_of_key_exchange_a_message(machine, cloud, broker, server_certificate,
                                                         product):
    identity = machine.identity_file(f"aliyun-iot:{PRODUCTS[product]}/device-1")
    options = ["-h", "localhost", "-p", broker.port, "--cafile", server_certificate / "ca.pem",
               "--cert", identity, "--key", identity, "-t", "topic"]
    subscriber = machine.start("mosquitto_sub", *options, "-C", "1", "-W", "40",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    broker.await_in_log("Sending SUBACK", subscriber)
    publisher = machine.run("mosquitto_pub", *options, "-m", "a message of the device")
    assert publisher.returncode == 0, publisher.stderr
    assert "a message of the device" in subscriber.communicate(timeout=60)[0]
    assert broker.serials == [cloud.serial(PRODUCTS[product], "device-1")] * 2
    # One to write the file, and one for each client.
    assert len(cloud.calls()) == 3


@row("mosquitto_pub", "PEM identity file")
def test_mosquitto_pub_connects_with_a_pem_identity_file(device, broker):
    identity = device.identity()
    done = device.machine.run("mosquitto_pub", *common(device, broker), "--cert", identity, "--key",
                              identity, "-m", "hello")
    assert done.returncode == 0, done.stderr
    device.assert_connected(broker, done.stderr)


@row("mosquitto_pub", "engine")
def test_mosquitto_pub_connects_by_engine_with_the_uri_as_key(engine, device, broker):
    if not is_at_least("mosquitto", "2.0.18") or is_at_least("mosquitto", "2.1"):
        pytest.skip("2.0.18 to 2.0.22 take a key that is no file")
    done = device.machine.run("mosquitto_pub", *common(device, broker), "--cert",
                              device.certificate(), "--tls-engine", "aliyun-iot", "--keyform",
                              "engine", "--key", device.uri, "-m", "hello")
    assert done.returncode == 0, done.stderr
    device.assert_connected(broker, done.stderr)


@row("mosquitto_pub", "engine, PEM identity file")
def test_mosquitto_pub_connects_by_engine_with_a_pem_identity_file_as_key(engine, device, broker):
    identity = device.identity()
    done = device.machine.run("mosquitto_pub", *common(device, broker), "--cert", identity,
                              "--tls-engine", "aliyun-iot", "--keyform", "engine", "--key",
                              identity, "-m", "hello")
    assert done.returncode == 0, done.stderr
    device.assert_connected(broker, done.stderr)
