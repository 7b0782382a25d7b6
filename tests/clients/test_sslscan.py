# SPDX-License-Identifier: Apache-2.0
"""sslscan connects as a device, although it leaves an error on OpenSSL's queue before it reads the
key."""
import pytest

row = pytest.mark.row


@row("sslscan", "PEM identity file")
def test_sslscan_connects_with_a_pem_identity_file(device, web):
    identity = device.identity()
    done = device.machine.run("sslscan", "--no-colour", f"--certs={identity}", f"--pk={identity}",
                              f"localhost:{web.port}")
    assert done.returncode == 0, done.stderr
    assert "Could not configure" not in done.stdout + done.stderr
    assert set(web.handshakes) == {(device.serial, "TLSv1.2"), (device.serial, "TLSv1.3")}, done.stdout
    assert len(device.cloud.calls()) == 1
