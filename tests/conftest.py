# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the whole product."""
import os

import pytest

from machine import Cloud, DEFAULT_FIRST, DEFAULT_LAST, Machine, make_server_certificate
from servers import Broker, WebServer

# The tests say themselves which openssl.cnf, settings and credentials count.
for name in [*os.environ]:
    if name.startswith(("OPENSSL_", "ALIBABA_CLOUD_")) or name in (
            "ALIYUN_IOT_AGENT", "ALIYUN_IOT_CONFIG", "ALIYUN_IOT_MODULES", "ALIYUN_IOT_TRACE"):
        del os.environ[name]


@pytest.fixture(scope="session")
def cloud_process(tmp_path_factory):
    # A quota that is never used up: a test that is about it sets its own.
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), "--rate", "1000000")
    yield cloud
    cloud.stop()


@pytest.fixture
def cloud(cloud_process):
    cloud_process.reset()
    yield cloud_process
    cloud_process.reset()


@pytest.fixture
def machine(tmp_path, cloud):
    made = Machine(tmp_path, cloud)
    yield made
    made.close()


@pytest.fixture(params=[DEFAULT_FIRST, DEFAULT_LAST], ids=["default-first", "default-last"])
def machine_of_each_order(request, tmp_path, cloud):
    made = Machine(tmp_path, cloud, request.param)
    yield made
    made.close()


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
