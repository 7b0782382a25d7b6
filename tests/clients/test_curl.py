# SPDX-License-Identifier: Apache-2.0
"""curl connects as a device."""
import pytest

from clients import PROGRAMS, needs_curl_with_providers
from machine import PRODUCTS, THROUGH_AGENT

row = pytest.mark.row


def curl(device, web, *options, environment=None):
    return device.machine.run("curl", "--silent", "--show-error", "--cacert", device.ca, *options,
                              web.url, environment=environment)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("block", ["first", "last"])
def test_every_type_of_key_connects_with_the_block_first_or_last(
        machine_of_each_order, cloud, web, server_certificate, product, block):
    machine = machine_of_each_order
    identity = machine.identity_file(f"aliyun-iot:{PRODUCTS[product]}/device-1")
    if block == "first":
        text = identity.read_text()
        cut = text.index("-----BEGIN ALIYUN-IOT IDENTITY-----")
        identity.write_text(text[cut:] + text[:cut])
    cloud.reset()
    done = machine.run("curl", "-sS", "--cacert", server_certificate / "ca.pem", "--cert", identity,
                       web.url)
    assert done.returncode == 0, done.stderr
    assert web.serials == [cloud.serial(PRODUCTS[product], "device-1")]
    assert len(cloud.calls()) == 1


@row("curl", "PEM identity file")
def test_curl_connects_with_a_pem_identity_file(device, web):
    done = curl(device, web, "--cert", device.identity())
    assert done.returncode == 0, done.stderr
    device.assert_connected(web, done.stderr)


@row("curl", "URI")
@pytest.mark.parametrize("form", ["uri", "short_uri"])
def test_curl_connects_by_uri(device, web, form):
    needs_curl_with_providers(device.machine)
    uri = getattr(device, form)
    done = curl(device, web, "--engine", "aliyun-iot-provider", "--cert-type", "PROV", "--cert",
                uri.replace(":", "\\:"), "--key-type", "PROV", "--key", uri)
    assert done.returncode == 0, done.stderr
    device.assert_connected(web, done.stderr)


@row("curl", "engine")
def test_curl_connects_by_engine(engine, device, web):
    done = curl(device, web, "--engine", "aliyun-iot", "--cert-type", "ENG", "--cert",
                device.uri.replace(":", "\\:"), "--key-type", "ENG", "--key", device.uri)
    assert done.returncode == 0, done.stderr
    device.assert_connected(web, done.stderr)


@row("libcurl", "aliyun_iot_use_identity()")
def test_a_program_connects_by_libcurls_ssl_ctx_function(device, web):
    del device.machine.environment["OPENSSL_CONF"]
    done = device.machine.run(PROGRAMS / "curl_identity", web.url, device.ca, device.uri)
    assert done.returncode == 0, done.stderr
    device.assert_connected(web, done.stderr)


def test_a_program_sends_the_intermediates(machine, cloud, web, server_certificate):
    """The server trusts the root alone."""
    done = machine.run(PROGRAMS / "curl_identity", web.url, server_certificate / "ca.pem",
                       "aliyun-iot:a1X509chain/device-1")
    assert done.returncode == 0, done.stderr
    assert web.serials == [cloud.serial("a1X509chain", "device-1")]


def test_a_program_that_cannot_have_the_device_says_why(device, web):
    done = device.machine.run(PROGRAMS / "curl_identity", web.url, device.ca,
                              "aliyun-iot:a1X509rsa00/nowhere")
    assert done.returncode == 1
    assert "no such product, device or instance" in done.stderr
    assert "the device does not exist" in done.stderr


@pytest.mark.skipif(THROUGH_AGENT, reason="curl has no AccessKey that could be wrong")
def test_curl_explains_on_standard_error_when_asked_to(device, web):
    """curl shows no reason by itself; the trace, switched on from the environment, does."""
    device.machine.write_settings(trace="level = off")
    done = curl(device, web, "--cert", device.identity(),
                environment={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong",
                             "ALIYUN_IOT_TRACE": "stderr"})
    assert done.returncode != 0
    assert "the AccessKey secret is wrong" in done.stderr
