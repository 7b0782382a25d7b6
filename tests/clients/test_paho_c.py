# SPDX-License-Identifier: Apache-2.0
"""A program in C with the Paho library connects as a device."""
import pytest

from machine import BUILD

PAHO = BUILD / "tests" / "clients" / "paho"

row = pytest.mark.row


@row("Paho C", "PEM identity file")
@pytest.mark.skipif(not PAHO.exists(), reason="built without libpaho-mqtt-dev")
def test_paho_c_publishes_with_a_pem_identity_file(device, broker):
    done = device.machine.run(PAHO, broker.port, device.ca, device.identity())
    assert done.returncode == 0, done.stderr
    device.assert_connected(broker, done.stderr)
