# SPDX-License-Identifier: Apache-2.0
"""nginx connects to its upstream as a device, or as one of many."""
import contextlib
import signal
import urllib.request

import pytest

import clients
from clients import needs
from machine import PATIENCE_S, PRODUCT, THROUGH_AGENT, wait_for_text
from servers import Nginx

row = pytest.mark.row

UPSTREAM = """\
proxy_pass https://localhost:{web.port};
proxy_ssl_name localhost;
proxy_ssl_trusted_certificate {ca};
proxy_ssl_verify on;
proxy_ssl_certificate {certificate};
proxy_ssl_certificate_key {key};
"""


def get(nginx, path="/"):
    """Asks through nginx. What went wrong, if anything did, stands in its log."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{nginx.port}{path}", timeout=PATIENCE_S).close()


def stop(nginx):
    """Ends it, well; returns its log."""
    nginx.stop()
    log = nginx.error_log.read_text()
    assert nginx.process.returncode == 0, log
    assert "exited on signal" not in log
    return log


def connect(device, web, certificate, key):
    """Two workers, and a request: the master loads the identity, and they ask nobody."""
    upstream = UPSTREAM.format(web=web, ca=device.ca, certificate=certificate, key=key)
    nginx = Nginx(device.machine, f"location / {{ {upstream} }}", "worker_processes 2;")
    get(nginx)
    device.assert_connected(web, stop(nginx))


@row("nginx", "PEM identity file")
def test_nginx_connects_with_a_pem_identity_file(device, web):
    identity = device.identity()
    connect(device, web, identity, identity)


@row("nginx", "engine")
@pytest.mark.parametrize("form", ["uri", "short_uri"])
def test_nginx_connects_by_engine_without_an_openssl_cnf(engine, device, web, form):
    """It initialises no engine by itself: ours does that, so no openssl.cnf has to."""
    uri = getattr(device, form)
    connect(device, web, device.identity(), f"engine:aliyun-iot:{uri}")


@row("nginx", "URI")
def test_nginx_connects_by_uri(device, web):
    needs("nginx", "1.29.0", "keys from a store")
    connect(device, web, device.identity(), f"store:{device.uri}")


@pytest.fixture(params=["PEM identity file", "engine", "store"])
def upstream(request, device, web):
    """The configuration of an upstream that is connected to as the device, in each way."""
    identity = key = device.identity()
    if request.param == "engine":
        device.machine.environment.update(clients.ENGINE_ENVIRONMENT)
        key = f"engine:aliyun-iot:{device.uri}"
    elif request.param == "store":
        needs("nginx", "1.29.0", "keys from a store")
        key = f"store:{device.uri}"
    return UPSTREAM.format(web=web, ca=device.ca, certificate=identity, key=key)


@pytest.mark.skipif(THROUGH_AGENT, reason="nginx has no AccessKey that could be wrong")
def test_nginx_ends_and_says_why_when_the_key_cannot_be_had(device, upstream):
    device.machine.environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "wrong"
    with pytest.raises(RuntimeError, match="ended with status 1"):
        Nginx(device.machine, f"location / {{ {upstream} }}")
    log = (device.machine.directory / "nginx" / "error.log").read_text()
    assert "Aliyun IoT: the cloud rejected the AccessKey" in log
    assert len(device.cloud.calls()) == 1


def test_nginx_that_reads_its_configuration_again_does_not_ask_the_cloud_again(
        device, web, upstream):
    nginx = Nginx(device.machine, f"location / {{ {upstream} }}")
    get(nginx)
    nginx.process.send_signal(signal.SIGHUP)
    wait_for_text("exited with code 0", nginx.error_log, nginx.process)
    get(nginx)
    log = stop(nginx)
    assert web.serials == [device.serial] * 2, log
    assert len(device.cloud.calls()) == 1, log


DEVICES = ["device-1", "device-2", "device-3"]


def connect_as_many(machine, cloud, web, ca, certificate, key):
    """One nginx, whose request names the device; each is asked for once, however often used.

    With proxy_ssl_session_reuse, nginx resumes whichever session it has last had with the
    upstream, and that is the session of another device.
    """
    upstream = UPSTREAM.format(web=web, ca=ca, certificate=certificate, key=key)
    nginx = Nginx(machine, f"""location ~ ^/(?<device>device-[0-9]+)$ {{
            {upstream}
            proxy_ssl_session_reuse off;
        }}""")
    for device in DEVICES * 2:
        get(nginx, f"/{device}")
    explanation = stop(nginx)
    assert web.serials == [cloud.serial(PRODUCT, device) for device in DEVICES * 2], explanation
    assert [call["device"] for call in cloud.calls()] == DEVICES, explanation


@pytest.fixture
def certificates(machine, cloud):
    """A file with the certificate of each device, by its name."""
    for device in DEVICES:
        text = cloud.control("GET", f"/device/{PRODUCT}/{device}")["certificate"]
        (machine.directory / f"{device}.pem").write_text(text)
    return machine.directory / "$device.pem"


@row("nginx, many devices", "PEM identity file")
def test_one_nginx_connects_as_many_devices_with_their_pem_identity_files(
        machine, cloud, web, server_certificate):
    for device in DEVICES:
        machine.identity_file(f"aliyun-iot://{PRODUCT}/{device}", f"{device}.pem")
    cloud.reset()
    files = machine.directory / "$device.pem"
    connect_as_many(machine, cloud, web, server_certificate / "ca.pem", files, files)


@row("nginx, many devices", "engine")
def test_one_nginx_connects_as_many_devices_by_engine(
        engine, machine, cloud, web, server_certificate, certificates):
    connect_as_many(machine, cloud, web, server_certificate / "ca.pem", certificates,
                    f"engine:aliyun-iot:aliyun-iot://{PRODUCT}/$device")


@row("nginx, many devices", "URI")
def test_one_nginx_connects_as_many_devices_by_uri(
        machine, cloud, web, server_certificate, certificates):
    needs("nginx", "1.29.0", "keys from a store")
    connect_as_many(machine, cloud, web, server_certificate / "ca.pem", certificates,
                    f"store:aliyun-iot://{PRODUCT}/$device")
