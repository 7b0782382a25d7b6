# SPDX-License-Identifier: Apache-2.0
"""At the end of real clients, valgrind finds no invalid access and no leak."""
import os

import pytest

from machine import VALGRIND

pytestmark = pytest.mark.skipif("ALIYUN_IOT_SANITIZED" in os.environ,
                                reason="the sanitizer does this here")


def openssl(device, web, broker, identity):
    return ["openssl", "pkey", "-noout", "-in", identity]


def openssl_engine(device, web, broker, identity):
    return ["openssl", "pkey", "-noout", "-engine", "aliyun-iot", "-inform", "engine", "-in",
            device.uri]


def curl(device, web, broker, identity):
    return ["curl", "-sS", "--cacert", device.ca, web.url, "--cert", identity]


def curl_engine(device, web, broker, identity):
    return ["curl", "-sS", "--cacert", device.ca, web.url, "--engine", "aliyun-iot", "--cert-type",
            "ENG", "--cert", device.uri.replace(":", "\\:"), "--key-type", "ENG", "--key", device.uri]


def mosquitto_pub(device, web, broker, identity):
    return ["mosquitto_pub", "-h", "localhost", "-p", broker.port, "--cafile", device.ca, "-t",
            "topic", "-m", "hello", "--cert", identity, "--key", identity]


def mosquitto_pub_engine(device, web, broker, identity):
    return [*mosquitto_pub(device, web, broker, identity), "--tls-engine", "aliyun-iot",
            "--keyform", "engine"]


@pytest.mark.parametrize("client", [openssl, curl, mosquitto_pub, openssl_engine, curl_engine,
                                    mosquitto_pub_engine], ids=lambda client: client.__name__)
def test_a_client_that_used_a_device_ends_clean(request, device, web, broker, client):
    identity = device.identity()
    if client.__name__.endswith("engine"):
        request.getfixturevalue("engine")
    options = []
    if client is mosquitto_pub_engine:
        # mosquitto itself never frees the key that it was given by an engine.
        options = ["--leak-check=no"]
    done = device.machine.run(*VALGRIND, *options, *client(device, web, broker, identity))
    assert done.returncode == 0, done.stderr
    assert len(device.cloud.calls()) == 1
