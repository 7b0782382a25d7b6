# SPDX-License-Identifier: Apache-2.0
"""mosquitto's clients, and a broker that is a client of another, connect as a device."""
import getpass
import shutil
import socket
import ssl
import subprocess

import pytest

from clients import is_at_least
from machine import (PATIENCE_S, PRODUCTS, THROUGH_AGENT, end_process, free_port, wait_for_port,
                     wait_for_text)
from servers import SERVER_PATH, Broker

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
    wait_for_text("Sending SUBACK", broker.log, subscriber)
    publisher = machine.run("mosquitto_pub", *options, "-m", "a message of the device")
    assert publisher.returncode == 0, publisher.stderr
    assert "a message of the device" in subscriber.communicate(timeout=PATIENCE_S)[0]
    assert broker.serials == [cloud.serial(PRODUCTS[product], "device-1")] * 2
    # One to write the file, and one for each client. An agent makes one for both.
    assert len(cloud.calls()) == (2 if THROUGH_AGENT else 3)


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
                              device.identity(), "--tls-engine", "aliyun-iot", "--keyform",
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


def test_the_engine_takes_mosquittos_digest_of_a_key_password_that_there_is_not(engine, device,
                                                                               broker):
    identity = device.identity()
    done = device.machine.run("mosquitto_pub", *common(device, broker), "--cert", identity,
                              "--tls-engine", "aliyun-iot", "--keyform", "engine", "--key",
                              identity, "--tls-engine-kpass-sha1", "ab" * 20, "-m", "hello")
    assert done.returncode == 0, done.stderr
    assert "ab" * 20 not in done.stderr + device.machine.trace.read_text()
    device.assert_connected(broker, done.stderr)


@row("mosquitto_sub", "PEM identity file")
def test_mosquitto_sub_connects_with_a_pem_identity_file(device, broker):
    identity = device.identity()
    subscriber = device.machine.start("mosquitto_sub", *common(device, broker), "--cert", identity,
                                      "--key", identity, "-E", stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
    said, _ = subscriber.communicate(timeout=PATIENCE_S)
    assert subscriber.returncode == 0, said
    device.assert_connected(broker, said)


@row("mosquitto_rr", "PEM identity file")
def test_mosquitto_rr_gets_its_answer_with_a_pem_identity_file(device, broker):
    """What it asks for goes to the topic that it waits on: it answers itself."""
    identity = device.identity()
    done = device.machine.run("mosquitto_rr", *common(device, broker), "--cert", identity, "--key",
                              identity, "-e", "topic", "-m", "an answer", "-W", "40")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "an answer\n"
    device.assert_connected(broker, done.stderr)


@pytest.fixture
def start_broker(machine):
    """Starts a broker that has the user's surroundings, which Broker has not."""
    processes = []

    def start(port, configuration):
        path = machine.directory / "second.conf"
        # It would become the user mosquitto before it loads the key of a listener or a bridge.
        path.write_text(f"user {getpass.getuser()}\nlog_dest stderr\nlog_type all\n{configuration}")
        log = machine.directory / "second.log"
        with open(log, "w") as output:
            process = machine.start(shutil.which("mosquitto", path=SERVER_PATH), "-c", path,
                                    stdout=output, stderr=output)
        processes.append(process)
        wait_for_port(port, process)
        return process, log

    yield start
    for process in processes:
        end_process(process)


@row("mosquitto bridge", "PEM identity file")
def test_a_message_crosses_a_bridge_that_connects_with_a_pem_identity_file(
        device, tmp_path, cloud, server_certificate, start_broker):
    plain, port = free_port(), free_port()
    remote = Broker(tmp_path, server_certificate, cloud.device_ca, f"listener {plain} 127.0.0.1")
    identity = device.identity()
    subscriber = device.machine.start("mosquitto_sub", "-h", "127.0.0.1", "-p", plain, "-t",
                                      "topic", "-C", "1", "-W", "40", stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
    wait_for_text("Sending SUBACK", remote.log, subscriber)
    bridge, log = start_broker(port, f"""\
listener {port} 127.0.0.1
allow_anonymous true
connection bridge
address 127.0.0.1:{remote.port}
topic topic out 1
bridge_cafile {device.ca}
bridge_certfile {identity}
bridge_keyfile {identity}
""")
    published = device.machine.run("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "topic",
                                   "-q", "1", "-m", "across the bridge")
    assert published.returncode == 0, published.stderr
    assert subscriber.communicate(timeout=PATIENCE_S)[0] == "across the bridge\n", log.read_text()
    end_process(bridge)
    remote.stop()
    assert bridge.returncode == 0, log.read_text()
    device.assert_connected(remote, log.read_text())


@row("mosquitto listener", "PEM identity file")
def test_a_broker_shows_its_clients_the_certificate_of_its_pem_identity_file(
        device, cloud, start_broker):
    port, identity = free_port(), device.identity()
    broker, log = start_broker(port, f"""\
listener {port} 127.0.0.1
allow_anonymous true
certfile {identity}
keyfile {identity}
""")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cloud.device_ca)
    context.check_hostname = False  # a device has no host name
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        with context.wrap_socket(connection) as connected:
            serial = int(connected.getpeercert()["serialNumber"], 16)
    end_process(broker)
    assert serial == device.serial, log.read_text()
    assert len(cloud.calls()) == 1
    assert broker.returncode == 0, log.read_text()
