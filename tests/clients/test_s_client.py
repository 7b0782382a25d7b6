# SPDX-License-Identifier: Apache-2.0
"""openssl s_client connects as a device. tests/e2e/test_openssl.py has more of it."""
import pytest

row = pytest.mark.row


def connect(device, web, *options):
    done = device.machine.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                              device.ca, "-verify_return_error", "-quiet", *options,
                              input="GET / HTTP/1.0\r\n\r\n")
    device.assert_connected(web, done.stderr)


@row("openssl s_client", "PEM identity file")
def test_s_client_connects_with_a_pem_identity_file(device, web):
    identity = device.identity()
    connect(device, web, "-cert", identity, "-key", identity)


@row("openssl s_client", "URI")
def test_s_client_connects_by_uri(device, web):
    connect(device, web, "-cert", device.uri, "-key", device.uri, "-cert_chain", device.uri)


@row("openssl s_client", "engine")
def test_s_client_connects_by_engine(engine, device, web):
    connect(device, web, "-cert", device.identity(), "-engine", "aliyun-iot", "-keyform",
            "engine", "-key", device.uri)
