# SPDX-License-Identifier: Apache-2.0
"""What is installed or written wrongly is a clear error in the output of the client itself."""
import base64
import re
import subprocess

import pytest

import clients
from machine import MODULE


def openssl_pem(device, server, identity):
    return device.machine.run("openssl", "pkey", "-noout", "-in", identity)


def openssl_engine(device, server, identity):
    return device.machine.run("openssl", "pkey", "-noout", "-engine", "aliyun-iot", "-inform",
                              "engine", "-in", identity)


def mosquitto_pub(device, server, identity, *more):
    return device.machine.run("mosquitto_pub", "-d", "-h", "localhost", "-p", server.port,
                              "--cafile", device.ca, "--cert", identity, "--key", identity, "-t",
                              "topic", "-m", "hello", *more)


def mosquitto_pub_engine(device, server, identity):
    return mosquitto_pub(device, server, identity, "--tls-engine", "aliyun-iot", "--keyform",
                         "engine")


def curl_engine(device, server, identity):
    """By URI: of a key, curl does not say why it cannot be loaded; of a certificate it does."""
    return device.machine.run("curl", "-sS", "--cacert", device.ca, "--engine", "aliyun-iot",
                              "--cert-type", "ENG", "--cert", device.uri.replace(":", "\\:"),
                              "--key-type", "ENG", "--key", device.uri,
                              f"https://localhost:{server.port}/")


def curl_traced(device, server, identity):
    """curl shows nothing of OpenSSL's queue here; the trace does, when asked for."""
    return device.machine.run("curl", "-sS", "--cacert", device.ca, "--cert", identity,
                              f"https://localhost:{server.port}/",
                              environment={"ALIYUN_IOT_TRACE": "stderr"})


BY_ENGINE = [openssl_engine, mosquitto_pub_engine, curl_engine]


@pytest.fixture
def connect(request, device, broker):
    """Lets the client connect with a PEM identity file, which fails; returns what it said."""
    client = request.param
    if client in BY_ENGINE:
        request.getfixturevalue("engine")

    def connect_with(identity):
        done = client(device, broker, identity)
        assert done.returncode != 0, done.stdout
        assert broker.serials == []
        return done.stdout + done.stderr

    return connect_with


def with_each(*which):
    return pytest.mark.parametrize("connect", which, indirect=True,
                                   ids=lambda client: client.__name__)


with_each_client = with_each(openssl_pem, mosquitto_pub, *BY_ENGINE)
with_each_reader_of_files = with_each(openssl_pem, mosquitto_pub, openssl_engine,
                                      mosquitto_pub_engine, curl_traced)


@with_each(*BY_ENGINE)
def test_an_engine_without_the_provider_module(device, connect):
    identity = device.identity()
    device.machine.environment["OPENSSL_MODULES"] = str(device.machine.directory)
    assert "the engine cannot load the provider module aliyun-iot" in connect(identity)


@with_each_client
def test_a_provider_without_its_library(device, connect):
    identity = device.identity()
    folder = device.machine.directory / "modules"
    folder.mkdir()
    copy = folder / MODULE.name
    copy.write_bytes(MODULE.read_bytes().replace(b"libaliyun-iot.so.0", b"libabsent-iot.so.0"))
    device.machine.environment["OPENSSL_MODULES"] = str(folder)
    cnf = device.machine.directory / "openssl.cnf"
    cnf.write_text(cnf.read_text().replace(str(MODULE), str(copy)))
    assert "libaliyun-iot or a module of it is missing or does not fit" in connect(identity)


@with_each_client
def test_a_library_that_is_older_than_the_module(device, connect):
    identity = device.identity()
    old = device.machine.directory / "libaliyun-iot.so.0"
    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", old], check=True)
    device.machine.environment["LD_LIBRARY_PATH"] = str(old.parent)
    assert "libaliyun-iot or a module of it is missing or does not fit" in connect(identity)


@with_each_reader_of_files
def test_a_certificate_that_is_no_longer_the_devices(device, cloud, connect):
    identity = device.identity()
    cloud.control("POST", f"/device/{device.bare}", {"reissue": True})
    assert_says(connect(identity), "private key does not match its certificate",
                "is not the one that the cloud gives")


def assert_says(output, reason, text):
    """Programs show the reason, the text or both; the trace has the text."""
    assert reason in output or text in output


def split(identity):
    text = identity.read_text()
    cut = text.index("-----BEGIN ALIYUN-IOT IDENTITY-----")
    return text[:cut], text[cut:]


@with_each(openssl_pem, openssl_engine)
def test_a_block_that_is_no_base64(device, connect):
    """mosquitto and curl look for certificates there first, and say `bad base64 decode`."""
    identity = device.identity()
    certificate, block = split(identity)
    identity.write_text(certificate + block.replace("\n", "\n!", 1))
    assert "broken ALIYUN-IOT IDENTITY block in PEM file" in connect(identity)


@with_each_reader_of_files
def test_a_block_that_holds_no_uri(device, connect):
    identity = device.identity()
    certificate, block = split(identity)
    lines = block.splitlines()
    other = base64.b64encode(b"aliyun-iot:no-device").decode()
    identity.write_text(certificate + "\n".join([lines[0], other, lines[-1], ""]))
    assert_says(connect(identity), "malformed URI", "the device name is missing")


@with_each_reader_of_files
def test_two_blocks(device, connect):
    identity = device.identity()
    certificate, block = split(identity)
    identity.write_text(certificate + block + block)
    assert_says(connect(identity), "broken ALIYUN-IOT IDENTITY block", "stands there more than once")


def test_curl_with_a_colon_that_is_not_escaped_and_an_engine(engine, device, web):
    done = device.machine.run("curl", "-sS", "--cacert", device.ca, "--engine", "aliyun-iot",
                              "--cert-type", "ENG", "--cert", device.short_uri, "--key-type", "ENG",
                              "--key", device.uri, web.url)
    assert done.returncode != 0
    assert "the URI was cut off at its colon, write aliyun-iot\\:" in done.stderr


def test_curl_with_a_colon_that_is_not_escaped(device, web):
    """Nothing of the URI reaches OpenSSL: the words are curl's."""
    options = ["--cert", device.short_uri]
    if clients.is_at_least("curl", "8.14"):
        clients.needs_curl_with_providers(device.machine)
        options += ["--engine", "aliyun-iot-provider", "--cert-type", "PROV", "--key-type", "PROV",
                    "--key", device.uri]
    done = device.machine.run("curl", "-sS", "--cacert", device.ca, *options, web.url)
    assert done.returncode == 58
    assert re.search("client cert|OpenSSL store", done.stderr)
    assert web.serials == []
