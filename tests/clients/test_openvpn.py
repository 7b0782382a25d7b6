# SPDX-License-Identifier: Apache-2.0
"""OpenVPN connects as a device, without a network device of its own."""
import shutil

import pytest

from clients import needs
from machine import end_process, free_port, wait_for_text
from servers import SERVER_PATH

row = pytest.mark.row


def openvpn(machine, name, *options):
    """Starts OpenVPN; returns the process and its log."""
    log = machine.directory / f"openvpn-{name}.log"
    with open(log, "w") as output:
        process = machine.start(shutil.which("openvpn", path=SERVER_PATH), "--dev", "null",
                                "--verb", "3", *options, stdout=output, stderr=output)
    return process, log


class Server:
    """An OpenVPN server for one client; its script writes down the certificate's serial."""

    def __init__(self, machine, certificate_folder, device_ca):
        self.port = free_port()
        self.written = machine.directory / "serials"
        self.written.touch()
        script = machine.directory / "tls-verify"
        script.write_text(f'#!/bin/sh\n[ "$1" != 0 ] || echo "$tls_serial_0" >>{self.written}\n')
        script.chmod(0o755)
        self.process, self.log = openvpn(
            machine, "server", "--tls-server", "--proto", "tcp-server", "--local", "127.0.0.1",
            "--lport", self.port, "--dh", "none", "--ca", device_ca,
            "--cert", certificate_folder / "server.pem", "--key", certificate_folder / "server.key",
            "--script-security", "2", "--tls-verify", script)

    @property
    def serials(self):
        return [int(line) for line in self.written.read_text().split()]


@pytest.fixture
def server(machine, cloud, server_certificate):
    server = Server(machine, server_certificate, cloud.device_ca)
    try:
        wait_for_text("Listening for incoming TCP connection", server.log, server.process)
        yield server
    finally:
        end_process(server.process)


def connect(device, server, *identity):
    client, log = openvpn(device.machine, "client", "--tls-client", "--proto", "tcp-client",
                          "--remote", "127.0.0.1", server.port, "--nobind", "--ca", device.ca,
                          *identity)
    try:
        wait_for_text("Initialization Sequence Completed", log, client)
    finally:
        end_process(client)
    assert client.returncode == 0, log.read_text()
    device.assert_connected(server, log.read_text())


@row("openvpn", "PEM identity file")
def test_openvpn_connects_with_a_pem_identity_file(device, server):
    identity = device.identity()
    connect(device, server, "--cert", identity, "--key", identity)


@row("openvpn", "URI")
def test_openvpn_connects_by_uri(device, server):
    needs("openvpn", "2.7", "certificates and keys from a store")
    connect(device, server, "--cert", device.uri, "--key", device.uri)
