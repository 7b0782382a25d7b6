# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the whole product."""
import pytest

from machine import Cloud, DEFAULT_FIRST, DEFAULT_LAST, Machine, make_server_certificate
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
    return make_server_certificate(tmp_path_factory.mktemp("server"))


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
