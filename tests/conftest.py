# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the whole product."""
import shutil
import subprocess

import pytest

from machine import Cloud, DEFAULT_FIRST, DEFAULT_LAST, Machine
from servers import Broker, WebServer


@pytest.fixture(scope="session")
def cloud_process(tmp_path_factory):
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), "--rate", "1000")
    yield cloud
    cloud.stop()


@pytest.fixture
def cloud(cloud_process):
    cloud_process.reset()
    yield cloud_process
    cloud_process.reset()


@pytest.fixture
def machine(tmp_path, cloud):
    return Machine(tmp_path, cloud)


@pytest.fixture(params=[DEFAULT_FIRST, DEFAULT_LAST], ids=["default-first", "default-last"])
def machine_of_each_order(request, tmp_path, cloud):
    return Machine(tmp_path, cloud, request.param)


@pytest.fixture(scope="session")
def server_certificate(tmp_path_factory):
    """A CA and a certificate for localhost, for brokers and servers that devices connect to."""
    folder = tmp_path_factory.mktemp("server")
    openssl = shutil.which("openssl")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=Test CA",
                    "-keyout", folder / "ca.key", "-out", folder / "ca.pem"],
                   check=True, capture_output=True)
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                    "-keyout", folder / "server.key", "-out", folder / "server.pem"],
                   check=True, capture_output=True)
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)
    return folder


@pytest.fixture
def web(cloud, server_certificate):
    server = WebServer(server_certificate, cloud.device_ca)
    yield server
    server.stop()


@pytest.fixture
def broker(tmp_path, cloud, server_certificate):
    server = Broker(tmp_path, server_certificate, cloud.device_ca)
    yield server
    server.stop()
