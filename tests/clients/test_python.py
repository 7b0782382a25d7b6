# SPDX-License-Identifier: Apache-2.0
"""Programs in Python connect as a device."""
import textwrap

import pytest

import clients
from machine import THROUGH_AGENT

row = pytest.mark.row

URLLIB = textwrap.dedent("""\
    import ssl, sys, urllib.request
    identity, ca, url = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(identity)
    print(urllib.request.urlopen(url, context=context, timeout=30).read().decode())
""")

PAHO = textwrap.dedent("""\
    import sys
    import paho.mqtt.client as mqtt
    identity, ca, port = sys.argv[1:]
    try:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho")
    except AttributeError:
        client = mqtt.Client("paho")
    client.tls_set(ca_certs=ca, certfile=identity, keyfile=identity)
    client.on_connect = lambda client, *_: client.publish("topic", "from paho", 1)
    client.on_publish = lambda client, *_: client.disconnect()
    client.connect("localhost", int(port))
    client.loop_forever()
    print("published")
""")


def run(machine, program, *arguments):
    return machine.run("/usr/bin/python3", "-c", program, *arguments)


@row("Python ssl, urllib", "PEM identity file")
def test_urllib_connects_with_a_pem_identity_file_in_each_order_of_providers(
        machine_of_each_order, cloud, web, server_certificate):
    device = clients.Device(machine_of_each_order, cloud, server_certificate / "ca.pem")
    done = run(device.machine, URLLIB, device.identity(), device.ca, web.url)
    assert done.returncode == 0, done.stderr
    device.assert_connected(web, done.stderr)


@pytest.mark.skipif(THROUGH_AGENT, reason="Python has no AccessKey that could be wrong")
def test_an_ssl_error_is_raised_when_the_identity_cannot_be_had(device, web):
    """Not FileNotFoundError, which Python makes of what a search for a file leaves in errno."""
    identity = device.identity()
    done = run(device.machine, URLLIB, identity, device.ca, web.url)
    assert done.returncode == 0, done.stderr
    device.machine.environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "wrong"
    done = run(device.machine, URLLIB, identity, device.ca, web.url)
    assert done.returncode == 1
    assert "ssl.SSLError" in done.stderr
    assert "FileNotFoundError" not in done.stderr


@row("paho-mqtt", "PEM identity file")
def test_paho_publishes_with_a_pem_identity_file(device, broker):
    done = run(device.machine, PAHO, device.identity(), device.ca, broker.port)
    assert done.stdout == "published\n", done.stderr
    device.assert_connected(broker, done.stderr)
