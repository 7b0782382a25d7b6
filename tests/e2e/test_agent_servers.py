# SPDX-License-Identifier: Apache-2.0
"""A policy that binds a key to servers, with real clients and real servers."""
import contextlib
import json
import re
import urllib.request

import pytest

from machine import PATIENCE_S, PRODUCT, THROUGH_AGENT, make_server_certificate
from principals import as_user, needs_root
from servers import Broker, Nginx, WebServer

DEVICE = f"{PRODUCT}/device-1"
URI = f"aliyun-iot://{DEVICE}"
HARNESS = as_user(2001)
POLICY = f"""[policy]
version = 1
[rule/harness]
effect = allow
users = #2001
devices = {PRODUCT[:-2]}*/device-*
operations = load, sign
usage = tls-client
servers = localhost, 127.0.0.1
[rule/loads]
effect = allow
users = #0, #2002
devices = */*
operations = load
[rule/any-server]
effect = allow
users = #2003
devices = */*
operations = load, sign
usage = tls-client
"""

pytestmark = [needs_root,
              pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")]

# Names in certificates of servers that the rule does not allow.
FOREIGN = {
    "another": "DNS:other.example",
    "one of several": "DNS:localhost,DNS:other.example,IP:127.0.0.1",
    "another address": "DNS:localhost,IP:192.0.2.1",
    "a prefix": "DNS:localhost.example",
    "a suffix": "DNS:x.localhost",
    "a wildcard": "DNS:*.localhost",
    "an address as a name": "DNS:127.0.0.1",
    "a bare CN": "",
}


@pytest.fixture
def agent(machine):
    machine.write_settings(audit="file = audit.log")
    return machine.use_agent(policy=POLICY)


def signed(agent):
    """What the audit log says of the signatures that were asked for."""
    records = map(json.loads, (agent.folder / "audit.log").read_text().splitlines())
    return [record for record in records if record["operation"] == "sign"]


def s_client(machine, port, ca, *options, before=(), verify=True):
    return machine.run(*before, "openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile",
                       ca / "ca.pem", *(["-verify_return_error"] if verify else []), "-quiet",
                       "-cert", URI, "-key", URI, *options, input="GET / HTTP/1.0\r\n\r\n")


@contextlib.contextmanager
def web(cloud, certificate, version=None):
    server = WebServer(certificate, cloud.device_ca, version)
    yield server
    server.stop()


def test_a_key_signs_for_the_servers_of_the_rule(machine, agent, cloud, server_certificate):
    with web(cloud, server_certificate) as server:
        done = s_client(machine, server.port, server_certificate, "-tls1_2", "-servername",
                        "localhost", before=HARNESS)
        assert server.serials == [cloud.serial(PRODUCT, "device-1")], done.stderr
    record = signed(agent)[-1]
    expected = {"decision": "allow", "usage": "tls-client 1.2", "sni": "localhost",
                "rule": "harness", "servers": ["localhost", "127.0.0.1"]}
    assert {**record, **expected} == record


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_key_does_not_sign_for_another_server(machine, agent, cloud, tmp_path, kind):
    certificate = make_server_certificate(tmp_path / "foreign", FOREIGN[kind])
    with web(cloud, certificate) as server:
        done = s_client(machine, server.port, certificate, "-tls1_2", before=HARNESS, verify=False)
        assert server.handshakes == []
    assert f"may not sign {DEVICE}" in done.stderr
    assert signed(agent)[-1]["decision"] == "deny"


def test_a_name_that_is_asked_for_must_be_allowed_too(machine, agent, cloud, server_certificate):
    with web(cloud, server_certificate) as server:
        done = s_client(machine, server.port, server_certificate, "-tls1_2", "-servername",
                        "other.example", before=HARNESS)
        assert server.handshakes == []
    assert "--sni other.example" in done.stderr


def test_a_program_is_told_that_tls_1_3_hides_the_server(machine, agent, cloud,
                                                         server_certificate):
    with web(cloud, server_certificate) as server:
        done = s_client(machine, server.port, server_certificate, "-tls1_3", before=HARNESS)
        assert server.serials == []
    assert "TLS 1.3 hides the server, so limit the program to TLS 1.2" in done.stderr
    assert signed(agent)[-1]["usage"] == "tls-client 1.3"


def test_a_key_for_tls_clients_signs_tls_1_3_and_nothing_else(machine, agent, cloud,
                                                              server_certificate):
    with web(cloud, server_certificate) as server:
        done = s_client(machine, server.port, server_certificate, before=as_user(2003))
        assert server.serials == [cloud.serial(PRODUCT, "device-1")], done.stderr
    message = machine.directory / "message"
    message.write_text("a message")
    done = machine.run(*as_user(2003), "openssl", "pkeyutl", "-sign", "-rawin", "-digest",
                       "sha256", "-inkey", URI, "-in", message)
    assert done.returncode != 0
    assert f"may not sign {DEVICE}" in done.stderr


@pytest.mark.parametrize("uid", [2002, 2004])
def test_others_do_not_connect(machine, agent, cloud, server_certificate, uid):
    with web(cloud, server_certificate) as server:
        done = s_client(machine, server.port, server_certificate, "-tls1_2", before=as_user(uid))
        assert server.handshakes == []
    assert f"may not {'sign' if uid == 2002 else 'load'} {DEVICE}" in done.stderr


def test_curl_is_bound_to_the_server(machine, agent, cloud, server_certificate, tmp_path):
    identity = machine.identity_file(URI)
    foreign = make_server_certificate(tmp_path / "foreign", "DNS:localhost,DNS:other.example")
    for certificate, allowed in ((server_certificate, True), (foreign, False)):
        with web(cloud, certificate) as server:
            done = machine.run(*HARNESS, "curl", "--silent", "--show-error", "--tls-max", "1.2",
                               "--cacert", certificate / "ca.pem", "--cert", identity, "--key",
                               identity, server.url)
            assert (done.returncode == 0) == allowed, done.stderr
            assert bool(server.serials) == allowed


def limit_to_tls_1_2(machine):
    """For programs that have no option for it: --tls-version of mosquitto_pub sets the least."""
    text = machine.cnf.read_text()
    section = re.search(r"(?m)^openssl_conf *= *(\w+)", text)[1]
    machine.cnf.write_text(
        text.replace(f"\n[{section}]\n", f"\n[{section}]\nssl_conf = ssl_sect\n") +
        "\n[ssl_sect]\nsystem_default = system_default_sect\n"
        "[system_default_sect]\nMaxProtocol = TLSv1.2\n")


def test_mosquitto_pub_is_bound_to_the_broker(machine, agent, cloud, server_certificate, tmp_path):
    limit_to_tls_1_2(machine)
    identity = machine.identity_file(URI)
    foreign = make_server_certificate(tmp_path / "foreign", "DNS:localhost,DNS:other.example")
    for certificate, allowed in ((server_certificate, True), (foreign, False)):
        broker = Broker(tmp_path, certificate, cloud.device_ca)
        done = machine.run(*HARNESS, "mosquitto_pub", "-h", "localhost", "-p", broker.port,
                           "--cafile", certificate / "ca.pem", "--cert", identity, "--key",
                           identity, "-t", "topic", "-m", "hello")
        broker.stop()
        assert (done.returncode == 0) == allowed, done.stderr
        assert bool(broker.serials) == allowed


def test_nginx_is_bound_to_its_upstream(machine, agent, cloud, server_certificate, tmp_path):
    agent.policy.write_text(POLICY.replace("users = #2001", "users = #0"))
    assert agent.ask(operation="reload")["ok"]
    identity = machine.identity_file(URI)
    foreign = make_server_certificate(tmp_path / "foreign", "DNS:localhost,DNS:other.example")
    with web(cloud, server_certificate) as good, web(cloud, foreign) as bad:
        blocks = "".join(f"location /{name} {{ proxy_pass https://localhost:{server.port}/; "
                         "proxy_ssl_name localhost; proxy_ssl_server_name on; "
                         f"proxy_ssl_protocols TLSv1.2; proxy_ssl_verify on; "
                         f"proxy_ssl_trusted_certificate {certificate}/ca.pem; "
                         f"proxy_ssl_certificate {identity}; proxy_ssl_certificate_key {identity};"
                         " }" for name, server, certificate in
                         (("good", good, server_certificate), ("bad", bad, foreign)))
        nginx = Nginx(machine, blocks)
        for name in ("good", "bad"):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{nginx.port}/{name}",
                                       timeout=PATIENCE_S).close()
        nginx.stop()
        assert good.serials == [cloud.serial(PRODUCT, "device-1")], nginx.error_log.read_text()
        assert bad.handshakes == []
    assert f"may not sign {DEVICE}" in nginx.error_log.read_text()
