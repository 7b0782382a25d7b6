# SPDX-License-Identifier: Apache-2.0
"""The agent: certificates and signatures for programs that hold no AccessKey and no private key."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from machine import (AGENT, AGENT_BUILD, BUILD, COMMAND, PATIENCE_S, PRODUCT, PRODUCTS, Agent,
                     THROUGH_AGENT, is_credential, sanitizer_environment, user_namespaces)
from principals import as_user, needs_root

URI = f"aliyun-iot:{PRODUCT}/device-1"
URIS = {name: f"aliyun-iot:{product}/device-1" for name, product in PRODUCTS.items()}

pytestmark = pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")


@pytest.fixture
def agent(machine):
    """An agent that the machine's programs ask, which have no credentials."""
    return machine.use_agent()


def sign(machine, uri=URI, **options):
    """Runs the command that signs a message; returns what it came to."""
    message = machine.directory / "message"
    message.write_text("a message")
    digest = [] if "ed000" in uri else ["-digest", "sha256"]
    return machine.run("openssl", "pkeyutl", "-sign", "-rawin", *digest, "-inkey", uri, "-in",
                       message, "-out", machine.directory / "signature", **options)


def verify(machine, uri=URI):
    digest = [] if "ed000" in uri else ["-digest", "sha256"]
    return machine.run("openssl", "pkeyutl", "-verify", "-rawin", *digest, "-pubin", "-inkey", uri,
                       "-in", machine.directory / "message", "-sigfile",
                       machine.directory / "signature")


def assert_agent_serves(agent):
    answer = agent.ask(operation="identity", uri=URI, timeout=60000)
    assert answer["ok"], answer


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("name", URIS)
def test_a_program_without_a_secret_signs_with_the_devices_key(machine, agent, name):
    assert not [*filter(is_credential, machine.environment)]
    done = sign(machine, URIS[name])
    assert done.returncode == 0, done.stderr
    done = verify(machine, URIS[name])
    assert done.returncode == 0, done.stderr


def test_the_agent_is_named_by_the_environment_too(machine, agent):
    machine.settings.write_text("")
    machine.environment["ALIYUN_IOT_AGENT"] = str(agent.socket)
    done = sign(machine)
    assert done.returncode == 0, done.stderr


def test_all_programs_share_one_call(machine, agent, cloud):
    for _ in range(3):
        assert machine.run(COMMAND, "show", URI).returncode == 0
    assert len(cloud.calls()) == 1


def test_what_the_cloud_says_reaches_the_program_with_the_path_of_the_socket(machine, agent):
    done = machine.run(COMMAND, "show", f"aliyun-iot:{PRODUCT}/no-such-device")
    assert done.returncode == 1
    assert f"aliyun-iot:{PRODUCT}/no-such-device: agent {agent.socket}: " in done.stderr
    assert "iot.device.NotExistedDevice" in done.stderr


def test_an_attribute_of_the_uri_reaches_the_agent(machine, agent, cloud):
    machine.run(COMMAND, "show", f"{URI}?instance=iot-cn-other")
    assert [call["instance"] for call in cloud.calls()] == ["iot-cn-other"]


# An agent that is not there, or is not the agent.

def test_an_agent_that_was_named_and_is_missing_is_an_error_and_no_fall_back(machine, cloud):
    machine.environment["ALIYUN_IOT_AGENT"] = str(machine.directory / "nowhere")
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1
    assert "the socket is missing; start aliyun-iot-agent" in done.stderr
    assert cloud.calls() == []


def test_a_socket_that_nobody_listens_on_is_an_error(machine, agent):
    agent.process.kill()
    agent.process.wait()
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1
    assert "nobody listens there any more; start aliyun-iot-agent" in done.stderr


def test_something_else_at_the_path_is_an_error(machine):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / "stream"))
    listener.listen()
    (folder / "file").write_text("")
    for name in ("stream", "file"):
        machine.environment["ALIYUN_IOT_AGENT"] = str(folder / name)
        done = machine.run(COMMAND, "show", URI)
        assert done.returncode == 1
        assert "this is not the socket of an agent" in done.stderr or \
            "nobody listens there" in done.stderr
    listener.close()


@contextlib.contextmanager
def fake_agent(user, serve):
    """A process of another user that listens, and keeps what it received in a file."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-"))
    folder.chmod(0o755)
    path = folder / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    path.chmod(0o666)
    child = os.fork()
    if child == 0:
        if user:
            os.setuid(user)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)
    try:
        yield path
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        listener.close()


def answer_with(text):
    def serve(connection):
        connection.recv(1 << 18)
        connection.send(text)
    return serve


@needs_root
def test_nothing_is_sent_to_a_listener_of_another_user(machine):
    received, sent = os.pipe()

    def serve(connection):
        os.write(sent, b"got " + connection.recv(1 << 18))

    with fake_agent(65533, serve) as path:
        machine.environment["ALIYUN_IOT_AGENT"] = str(path)
        wait_until(lambda: "listens there, and only root" in
                   machine.run(COMMAND, "show", URI).stderr)
        # It got connections, and nothing on them.
        assert not os.read(received, 1 << 16).replace(b"got ", b"")
        # Whom the settings name is trusted.
        machine.settings.write_text(f"[agent]\nsocket = {path}\nowner = #65533\n")
        del machine.environment["ALIYUN_IOT_AGENT"]
        done = machine.run(COMMAND, "show", URI)
        assert "gave no answer" in done.stderr
        wait_until(lambda: select_readable(received))
        assert b"identity" in os.read(received, 1000)


@needs_root
def test_an_agent_of_the_programs_own_user_is_trusted_whomever_the_settings_name(machine):
    machine.settings.write_text("[agent]\nsocket = /nowhere\nowner = #2001\n")
    with fake_agent(65533, answer_with(b"{}")) as path:
        machine.environment["ALIYUN_IOT_AGENT"] = str(path)
        wait_until(lambda: "answer is malformed" in
                   machine.run(*as_user(65533), COMMAND, "show", URI).stderr)
        assert "only root, the program's own uid 0 and uid 2001 are trusted" in \
            machine.run(COMMAND, "show", URI).stderr


def select_readable(descriptor):
    return bool(select.select([descriptor], [], [], 0)[0])


@needs_root
def test_any_owner_is_for_a_path_of_the_settings_alone(machine):
    with fake_agent(65533, answer_with(b"{}")) as path:
        machine.settings.write_text(f"[agent]\nsocket = {path}\nowner = any\n")
        wait_until(lambda: "answer is malformed" in machine.run(COMMAND, "show", URI).stderr)
        machine.environment["ALIYUN_IOT_AGENT"] = str(path)
        error = machine.run(COMMAND, "show", URI).stderr
        assert "only root and the program's own uid 0 are trusted" in error
        assert "any holds only for a socket that is named there too" in error


@pytest.mark.parametrize("answer", [
    b"", b"{", b"[]", b"{}", b'{"ok":true}', b'{"ok":1}', b'{"ok":false}', b"\xff\xfe",
    b'{"ok":true,"ok":true}', b'{"ok":true,"certificates":[]}', b'{"ok":true,"certificates":["AA"]}',
    b'{"ok":true,"certificates":["AAAA"],"key":"00"}', b'{"ok":true,"certificates":"AAAA"}',
    b'{"ok":false,"reason":7,"message":"m"}', b'{"ok":true,"certificates":[null]}',
    b"[" * 20 + b"]" * 20, b'{"a":' * 9 + b"1" + b"}" * 9], ids=lambda answer: answer.decode("latin1"))
def test_an_answer_that_is_none_is_an_error(machine, answer):
    with fake_agent(0, answer_with(answer)) as path:
        machine.environment["ALIYUN_IOT_AGENT"] = str(path)
        wait_until(path.exists)
        done = machine.run(COMMAND, "show", URI)
        while "nobody listens" in done.stderr:
            done = machine.run(COMMAND, "show", URI)
        assert done.returncode == 1
        assert "malformed" in done.stderr or "gave no answer" in done.stderr, done.stderr


def test_a_certificate_of_another_key_than_the_answer_names_is_refused(machine, cloud):
    with_agent = machine.use_agent()
    answer = with_agent.ask(operation="identity", uri=URI, timeout=60000)
    answer["key"] = "0" * 64
    machine.stop_agent()
    with fake_agent(0, answer_with(json.dumps(answer).encode())) as path:
        machine.settings.write_text(f"[agent]\nsocket = {path}\n")
        done = machine.run(COMMAND, "show", URI)
        while "nobody listens" in done.stderr:
            done = machine.run(COMMAND, "show", URI)
        assert done.returncode == 1 and "is not that of the certificate" in done.stderr


def test_an_agent_that_was_stopped_holds_a_program_up_for_its_timeout_and_no_longer(machine, agent):
    machine.settings.write_text(f"[cloud]\ntimeout = 300ms\n[agent]\nsocket = {agent.socket}\n")
    with agent.stopped():
        done = machine.run(COMMAND, "show", URI)
        assert done.returncode == 1
        assert "the agent did not answer before the end of timeout" in done.stderr
        # Its queue of connections is full.
        connections = []
        with contextlib.suppress(BlockingIOError):
            while len(connections) < 10000:
                connections.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                connections[-1].setblocking(False)
                connections[-1].connect(str(agent.socket))
        done = machine.run(COMMAND, "show", URI)
        assert done.returncode == 1
        assert "the agent accepted no connection before the end of timeout" in done.stderr
        for connection in connections:
            connection.close()
    assert_agent_serves(agent)


# Requests.

def ask_raw(agent, packet):
    with agent.connect() as connection:
        connection.send(packet)
        return json.loads(connection.recv(1 << 20))


SIGN = {"version": 1, "operation": "sign", "uri": URI, "timeout": 60000, "key": "0" * 64,
        "scheme": "rsa-pss-sha256", "message": "AAAA"}


def with_members(**changes):
    members = {**SIGN, **changes}
    return json.dumps({key: value for key, value in members.items() if value is not ...}).encode()


@pytest.mark.parametrize("packet, reason, words", [
    (b"", "BAD_REQUEST", "it is empty"),
    (b"{", "BAD_REQUEST", "it is not JSON"),
    (b"[]", "BAD_REQUEST", "it is not a JSON object"),
    (b"{}x", "BAD_REQUEST", "text follows"),
    (b'{"version":1,"version":1}', "BAD_REQUEST", "a name is repeated"),
    (b'{"version":1,"operation":"\xff"}', "BAD_REQUEST", "not UTF-8"),
    (b'{"version":1,"operation":"health\x00"}', "BAD_REQUEST", "NUL"),
    (b'{"a":' * 9 + b"1" + b"}" * 9, "BAD_REQUEST", "too deep"),
    (b"{}", "BAD_REQUEST", "version must be a number"),
    (b'{"version":"1","operation":"health"}', "BAD_REQUEST", "version must be a number"),
    (b'{"version":2,"operation":"health"}', "UNSUPPORTED_VERSION", "version is another one than 1"),
    (b'{"version":1}', "BAD_REQUEST", "operation must be text"),
    (b'{"version":1,"operation":"open"}', "UNSUPPORTED_OPERATION", "operation is none"),
    (b'{"version":1,"operation":"health","uri":"x"}', "BAD_REQUEST", "uri is no member"),
    (with_members(uri=...), "BAD_REQUEST", "sign lacks one of its members"),
    (with_members(uri=7), "BAD_REQUEST", "uri must be text"),
    (with_members(uri="aliyun-iot:x"), "BAD_URI", "aliyun-iot:x"),
    (with_members(timeout=0), "BAD_REQUEST", "timeout must be a whole number"),
    (with_members(timeout=1.5), "BAD_REQUEST", "timeout must be a whole number"),
    (with_members(timeout=1e300), "BAD_REQUEST", "timeout must be a whole number"),
    (with_members(timeout="1"), "BAD_REQUEST", "timeout must be a whole number"),
    (with_members(key="0"), "BAD_REQUEST", "key must be 64 hexadecimal digits"),
    (with_members(scheme="rsa-pkcs1-md5"), "BAD_SCHEME", "scheme is none"),
    (with_members(message="AAA"), "BAD_REQUEST", "message is not base64"),
    (with_members(message="AA\nAA"), "BAD_REQUEST", "message is not base64"),
    (with_members(message=base64.b64encode(bytes(128 * 1024 + 1)).decode()), "LIMITED",
     "131072 bytes"),
    (with_members(constraint="x"), "BAD_REQUEST", "constraint is no member"),
    (with_members(), "CHANGED", "the device has another key now"),
], ids=lambda value: value[:40].decode("latin1") if isinstance(value, bytes) else value[:30])
def test_a_request_that_is_none_is_refused_and_the_connection_stays(agent, packet, reason, words):
    with agent.connect() as connection:
        connection.send(packet)
        answer = json.loads(connection.recv(1 << 20))
        assert not answer["ok"] and answer["reason"] == reason, answer
        assert words in answer["message"]
        connection.send(b'{"version":1,"operation":"health"}')
        assert json.loads(connection.recv(1 << 20))["ok"]


def signed(agent, uri, scheme, message):
    identity = agent.ask(operation="identity", uri=uri, timeout=60000)
    return identity, agent.ask(operation="sign", uri=uri, timeout=60000, key=identity["key"],
                               scheme=scheme, message=base64.b64encode(message).decode())


def test_the_answer_names_the_key_by_the_hash_of_its_certificate(agent, machine):
    identity = agent.ask(operation="identity", uri=URI, timeout=60000)
    certificate = base64.b64decode(identity["certificates"][0], validate=True)
    (machine.directory / "leaf.der").write_bytes(certificate)
    public = subprocess.run(["openssl", "x509", "-inform", "DER", "-in",
                             machine.directory / "leaf.der", "-pubkey", "-noout"],
                            capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public,
                         capture_output=True, check=True).stdout
    assert identity["key"] == hashlib.sha256(der).hexdigest()
    assert identity["key_type"] == "RSA" and "rsa-pss-sha256" in identity["schemes"]


@pytest.mark.parametrize("name, schemes", [
    ("RSA", ["rsa-pkcs1-sha256", "rsa-pkcs1-sha384", "rsa-pkcs1-sha512", "rsa-pss-sha256",
             "rsa-pss-sha384", "rsa-pss-sha512"]),
    ("EC", ["ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"]), ("Ed25519", ["ed25519"])])
def test_messages_of_nothing_and_of_128_kib_are_signed_under_every_scheme(agent, machine, name,
                                                                          schemes):
    for scheme in schemes:
        for size in (0, 128 * 1024):
            identity, answer = signed(agent, URIS[name], scheme, bytes(size))
            assert answer["ok"], answer
            assert identity["schemes"] == schemes
            if scheme == "ed25519" and size == 0:
                continue  # openssl pkeyutl cannot verify a message of nothing
            folder = machine.directory
            (folder / "message").write_bytes(bytes(size))
            (folder / "signature").write_bytes(base64.b64decode(answer["signature"]))
            (folder / "leaf.der").write_bytes(base64.b64decode(identity["certificates"][0]))
            options = ["-rawin"]
            if scheme != "ed25519":
                options += ["-digest", scheme.rpartition("-")[2]]
            if "pss" in scheme:
                options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt",
                            "rsa_pss_saltlen:digest"]
            done = subprocess.run(["openssl", "pkeyutl", "-verify", "-certin", "-keyform", "DER",
                                   "-inkey", folder / "leaf.der", "-in", folder / "message",
                                   "-sigfile", folder / "signature", *options],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 0, (scheme, size, done.stderr)


def test_a_scheme_that_does_not_fit_the_key_is_refused(agent):
    _, answer = signed(agent, URIS["EC"], "rsa-pss-sha256", b"m")
    assert answer["reason"] == "BAD_SCHEME"


def test_a_key_that_was_replaced_signs_no_more(machine, agent, cloud):
    identity = agent.ask(operation="identity", uri=URI, timeout=60000)
    cloud.control("POST", f"/device/{PRODUCT}/device-1", {"reissue": True})
    agent.ask(operation="evict", pattern=f"{PRODUCT}/*")
    answer = agent.ask(operation="sign", uri=URI, timeout=60000, key=identity["key"],
                       scheme="rsa-pss-sha256", message="")
    assert answer["reason"] == "CHANGED"


def test_an_exported_key_is_the_certificates(agent, machine):
    answer = agent.ask(operation="export", uri=URI, timeout=60000)
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
                            input=base64.b64decode(answer["pkcs8"]), capture_output=True,
                            check=True).stdout
    assert hashlib.sha256(public).hexdigest() == answer["key"]


def test_a_packet_over_the_limit_is_refused_and_ends_the_connection(agent):
    with agent.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            connection.send(b" " * (192 * 1024 + 1))
        except OSError:
            pytest.skip("the system sends no packet of that size")
        answer = json.loads(connection.recv(1 << 20))
        assert (answer["reason"], answer["limit"]) == ("LIMITED", "message-bytes")
        assert connection.recv(1 << 20) == b""
    assert_agent_serves(agent)


def test_descriptors_that_come_with_a_packet_are_closed_and_refused(agent):
    def count():
        return len(os.listdir(f"/proc/{agent.process.pid}/fd"))

    before = count()
    with agent.connect() as connection:
        for _ in range(3):
            socket.send_fds(connection, [b'{"version":1,"operation":"health"}'], [0, 1, 2] * 50)
            answer = json.loads(connection.recv(1 << 20))
            assert answer["reason"] == "BAD_REQUEST" and "descriptors" in answer["message"]
        assert count() <= before + 1


def test_a_packet_of_another_process_asks_for_a_connection_of_its_own(agent):
    with agent.connect() as connection:
        connection.send(b'{"version":1,"operation":"health"}')
        assert json.loads(connection.recv(1 << 20))["ok"]
        child = os.fork()
        if child == 0:
            connection.send(b'{"version":1,"operation":"health"}')
            os._exit(0)
        os.waitpid(child, 0)
        assert json.loads(connection.recv(1 << 20))["reason"] == "RECONNECT"
        connection.send(b'{"version":1,"operation":"health"}')
        assert json.loads(connection.recv(1 << 20))["ok"]


@needs_root
def test_another_user_is_denied_by_each_packet(agent):
    """The kernel says who sends it, whoever connected."""
    agent.folder.chmod(0o755)
    agent.socket.chmod(0o666)
    ask = ("import json, os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
           "{}; s.connect(sys.argv[1]); {}; s.send(b'{{\"version\":1,\"operation\":\"health\"}}');"
           "print(s.recv(1 << 20).decode())")
    for before, after in (("os.setuid(65533)", "0"), ("0", "os.setuid(65533)")):
        done = subprocess.run(["/usr/bin/python3", "-c", ask.format(before, after), agent.socket],
                              capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert answer["reason"] == "DENIED" and "uid 65533 may not use this agent" in answer["message"]


@pytest.mark.skipif(not user_namespaces(), reason="there are no user namespaces here")
@needs_root
def test_in_a_user_namespace_the_agents_own_uid_is_served_whatever_its_name_there(machine, agent):
    command = ("unshare", "--user", "--map-user=1234", "--map-group=1234", COMMAND, "show", URI)
    done = machine.run(*command)
    assert done.returncode == 0, done.stderr


# Limits.

def connect_and_ask(agent):
    """A connection that was asked for its health, and the answer."""
    connection = agent.connect()
    with contextlib.suppress(BrokenPipeError):
        connection.send(b'{"version":1,"operation":"health"}')
    return connection, json.loads(connection.recv(1 << 20))


def test_connections_of_a_user_have_a_limit_that_the_answer_names(machine):
    agent = machine.use_agent(settings=machine.settings.read_text() + "[limits]\nconnections = 5\n")
    # The agent may not have seen yet that the one of Agent.wait() ended.
    wait_until(lambda: agent.ask(operation="status").get("connections") == 1)
    held = []
    while len(held) < 5:
        connection, answer = connect_and_ask(agent)
        if answer["ok"]:
            held.append(connection)
    connection, answer = connect_and_ask(agent)
    assert (answer["reason"], answer["limit"]) == ("LIMITED", "connections")
    assert connection.recv(1 << 20) == b""
    connection.close()
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1
    assert "as many connections as it may have" in done.stderr
    held.pop().close()
    wait_until(lambda: machine.run(COMMAND, "show", URI).returncode == 0)
    for connection in held:
        connection.close()


def test_a_refused_connection_reads_why_and_then_the_end_whatever_it_has_sent(machine):
    agent = machine.use_agent(settings=machine.settings.read_text() + "[limits]\nconnections = 1\n")
    served, answer = connect_and_ask(agent)
    while not answer["ok"]:
        served.close()
        served, answer = connect_and_ask(agent)
    with agent.stopped():
        refused = agent.connect()
        refused.send(b'{"version":1,"operation":"health"}')
        refused.send(b"")
    assert json.loads(refused.recv(1 << 20))["limit"] == "connections"
    assert refused.recv(1 << 20) == b""
    refused.close()
    served.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # room for both
    with agent.stopped():
        served.send(b"x" * 200000)
        served.send(b'{"version":1,"operation":"health"}')
    assert json.loads(served.recv(1 << 20))["limit"] == "message-bytes"
    assert served.recv(1 << 20) == b""
    served.close()


def test_ten_thousand_connections_of_a_user_harm_nobody(agent):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    held, refused = [], 0
    with agent.connect() as served:
        for _ in range(min(10000, limit[1] - 200)):
            connection = agent.connect()
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if connection.recv(1 << 12):
                    refused += 1
                    connection.close()
                    continue
            held.append(connection)
        served.send(b'{"version":1,"operation":"status"}')
        status = json.loads(served.recv(1 << 20))
        assert status["ok"] and status["connections"] <= 1024
    for connection in held:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    wait_until(lambda: agent.ask(operation="status")["connections"] == 1)


def test_an_agent_with_few_descriptors_says_so(machine):
    agent = machine.use_agent(descriptors=64)
    held = []
    while len(held) < 33:
        connection, answer = connect_and_ask(agent)
        if not answer["ok"]:
            break
        held.append(connection)
    assert (answer["reason"], answer["limit"]) == ("LIMITED", "descriptors")
    held[0].send(json.dumps({"version": 1, "operation": "identity", "uri": URI,
                             "timeout": 60000}).encode())
    assert json.loads(held[0].recv(1 << 20))["ok"]
    assert len(held) >= 31


AS_65533 = ("sh", "-c", 'chown -R 65533 "${3%/*}" && '
            'exec setpriv --reuid=65533 --regid=65533 --clear-groups "$@"', "sh")


@needs_root
def test_a_thousand_waiting_requests_of_a_user_do_not_hold_up_another_user(machine, cloud):
    """They wait in the quota's queue, which is a second long for each nine calls."""
    with tempfile.NamedTemporaryFile() as authority:
        authority.write(pathlib.Path(cloud.ca).read_bytes())
        authority.flush()
        os.chmod(authority.name, 0o644)
        agent = machine.use_agent(*AS_65533, settings=(
            f"[cloud]\nendpoint = {cloud.endpoint}\nca-file = {authority.name}\ntimeout = 50s\n"
            "[quota]\nrate = 9\nburst = 1\n[limits]\nrequests = 1024\n"))
        assert_agent_serves(agent)
    cloud.reset()
    held = []
    for number in range(1000):
        held.append(agent.connect())
        held[-1].send(json.dumps({"version": 1, "operation": "identity", "timeout": 50000,
                                  "uri": f"aliyun-iot:{PRODUCT}/nobody-{number}"}).encode())
    wait_until(lambda: cloud.calls())
    before = len(cloud.calls())
    ask = ("import os, socket, sys; os.setuid(65533);"
           "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]);"
           "s.send(sys.argv[2].encode()); print(s.recv(1 << 20).decode())")
    request = {"version": 1, "operation": "identity", "timeout": 50000, "uri": f"aliyun-iot:{PRODUCT}/device-2"}
    done = subprocess.run(["/usr/bin/python3", "-c", ask, agent.socket, json.dumps(request)],
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ok"], done.stdout
    order = [call["device"] for call in cloud.calls()]
    # Calls that the first user had under way, and a few before the second one asked.
    assert order.index("device-2") <= before + 16 + 9
    for connection in held:
        connection.close()


def test_requests_of_a_user_have_a_limit_that_the_answer_names(machine, cloud):
    agent = machine.use_agent(settings=machine.settings.read_text() + "[limits]\nrequests = 3\n")
    cloud.fault({"silent": True})
    held = []
    for number in range(3):
        held.append(agent.connect())
        held[-1].send(json.dumps({"version": 1, "operation": "identity", "timeout": 50000,
                                  "uri": f"aliyun-iot:{PRODUCT}/device-{number}"}).encode())
    def answer():
        return agent.ask(operation="identity", uri=URI, timeout=1000)
    # Not by asking the agent: that is a request too, and could take the place of the third one.
    wait_until(lambda: len(cloud.calls()) == 3)
    assert agent.ask(operation="status")["limit"] == "requests"
    assert answer()["limit"] == "requests"
    # Whoever goes away has no request under way any more.
    for connection in held:
        connection.close()
    wait_until(lambda: agent.ask(operation="status").get("requests") == 1)


# The cloud is slow, or does not answer.

def test_a_cloud_that_hangs_delays_nothing_that_is_in_memory(agent, cloud):
    identity, _ = signed(agent, URI, "rsa-pss-sha256", b"m")
    cloud.fault({"silent": True})
    held = []
    for number in range(100):
        held.append(agent.connect())
        held[-1].send(json.dumps({"version": 1, "operation": "identity", "timeout": 50000,
                                  "uri": f"aliyun-iot:{PRODUCT}/hanging-{number}"}).encode())
    wait_until(lambda: agent.ask(operation="status")["requests"] == 101)
    for _ in range(20):
        answer = agent.ask(operation="sign", uri=URI, timeout=1, key=identity["key"],
                           scheme="rsa-pss-sha256", message="")
        assert answer["ok"]
    for connection in held:
        connection.close()


def test_who_sends_no_more_but_reads_is_answered(agent, cloud):
    cloud.fault({"delay": 1}, times=1)
    with agent.connect() as connection:
        connection.send(json.dumps({"version": 1, "operation": "identity", "timeout": 50000,
                                    "uri": URI}).encode())
        connection.shutdown(socket.SHUT_WR)
        assert json.loads(connection.recv(1 << 20))["ok"]
        assert connection.recv(1 << 20) == b""


def test_a_request_ends_at_its_own_timeout(agent, cloud):
    cloud.fault({"silent": True})
    answer = agent.ask(operation="identity", uri=URI, timeout=200)
    assert answer["reason"] == "TIMEOUT"
    assert agent.ask(operation="health")["ok"]


# The agent ends, and is started again.

def test_the_agent_finishes_what_is_under_way_and_removes_its_socket(machine, agent, cloud):
    cloud.fault({"delay": 1}, times=1)
    with agent.connect() as connection:
        connection.send(json.dumps({"version": 1, "operation": "identity", "timeout": 50000,
                                    "uri": URI}).encode())
        wait_until(lambda: agent.ask(operation="status")["requests"] == 2)
        agent.process.terminate()
        assert json.loads(connection.recv(1 << 20))["ok"]
    assert agent.process.wait() == 0
    assert not agent.socket.exists()


def test_a_hanging_cloud_does_not_keep_the_agent_from_ending(machine, agent, cloud):
    cloud.fault({"silent": True})
    with agent.connect() as connection:
        connection.send(json.dumps({"version": 1, "operation": "identity", "timeout": 50000,
                                    "uri": URI}).encode())
        wait_until(lambda: agent.ask(operation="status")["requests"] == 2)
        agent.process.terminate()
        assert agent.process.wait(timeout=PATIENCE_S) == 0


def test_a_second_agent_does_not_take_the_socket_of_one_that_listens(machine, agent):
    done = machine.run(AGENT, "--socket", agent.socket)
    assert done.returncode == 1
    assert "another agent listens there" in done.stderr
    assert_agent_serves(agent)


def test_a_socket_that_was_left_is_replaced_and_a_file_is_not(machine, agent):
    agent.process.kill()
    agent.process.wait()
    assert agent.socket.exists()
    agent.start()
    assert_agent_serves(agent)
    agent.process.terminate()
    agent.process.wait()
    path = machine.directory / "file"
    path.write_text("precious")
    done = machine.run(AGENT, "--socket", path)
    assert done.returncode == 1 and "something else is there" in done.stderr
    assert path.read_text() == "precious"


# Settings.

def test_reload_takes_new_settings_and_keeps_what_is_in_memory(machine, agent, cloud):
    assert_agent_serves(agent)
    agent.settings.write_text(agent.settings.read_text() + "[limits]\nconnections = 20\n")
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: refused_connection(agent))
    # The agent may not have seen yet that those are closed.
    wait_until(lambda: agent.ask(operation="health")["ok"])
    assert_agent_serves(agent)
    assert len(cloud.calls()) == 1
    agent.settings.write_text("[nonsense]\n")
    answer = agent.ask(operation="reload")
    assert answer["reason"] == "BAD_SETTINGS" and "nonsense" in answer["message"]
    assert_agent_serves(agent)


def refused_connection(agent):
    asked = [connect_and_ask(agent) for _ in range(21)]
    for connection, _ in asked:
        connection.close()
    return any(answer.get("limit") == "connections" for _, answer in asked)


@pytest.mark.parametrize("text, problem", [
    ("[socket/a]\n", "socket/a: it needs path"),
    ("[socket/a]\npath = relative\n", "2: path: it needs path, an absolute one"),
    ("[socket/a]\npath = /tmp/x\nmode = 0999\n", "3: mode: it must be an octal number"),
    ("[socket/a]\npath = /tmp/x\ngroup = no-such-group\n", "3: group: there is no such group"),
    ("[socket/a]\npath = /tmp/x\ncolour = red\n", "3: colour: this key is unknown"),
    ("[agent]\nsocket = /tmp/x\n", "1: agent: this section is unknown; agent.conf(5)"),
    ("[limits]\nconnections = 0\n", "2: connections: it must be a whole number"),
    ("[quota]\nrate = 9\n", "there is no socket to listen on"),
])
def test_settings_that_are_wrong_are_named_with_their_line(machine, text, problem):
    path = machine.directory / "agent.conf"
    path.write_text(text)
    done = machine.run(AGENT, "--config", path)
    assert done.returncode == 1 and problem in done.stderr, done.stderr


def test_a_socket_has_the_mode_and_group_of_its_settings(machine):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-"))
    sockets = "".join(f"[socket/{name}]\npath = {folder}/{name}\nmode = {mode}\ngroup = #{os.getgid()}\n"
                      for name, mode in (("one", "0660"), ("two", "0600")))
    path = machine.directory / "agent.conf"
    path.write_text(sockets)
    process = machine.start(AGENT, "--config", path)
    wait_until(lambda: (folder / "one").exists() and (folder / "two").exists())
    assert (folder / "one").stat().st_mode & 0o777 == 0o660
    assert (folder / "two").stat().st_mode & 0o777 == 0o600
    process.terminate()
    assert process.wait() == 0
    assert os.listdir(folder) == []


# Operators.

def test_an_operator_sees_and_evicts_what_the_agent_has(machine, agent, cloud):
    for number in range(3):
        assert machine.run(COMMAND, "show", f"aliyun-iot:{PRODUCT}/device-{number}").returncode == 0
    done = machine.run(COMMAND, "agent", "status")
    assert done.returncode == 0 and "identities:  3\n" in done.stdout, done.stderr
    assert f"settings:    {agent.settings}\n" in done.stdout
    done = machine.run(COMMAND, "agent", "list")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [f"{PRODUCT}/device-{number}" for number in range(3)]
    assert all(len(row) == 6 and row[2] == "cn-shanghai" for row in rows)
    done = machine.run(COMMAND, "agent", "evict", "*/device-[12]")
    assert done.returncode == 1 and "pattern must be" in done.stderr
    assert machine.run(COMMAND, "agent", "evict", "*/*-1").stdout == "evicted: 1\n"
    machine.run(COMMAND, "show", f"aliyun-iot:{PRODUCT}/device-1")
    assert len(cloud.calls()) == 4
    assert machine.run(COMMAND, "agent", "reload").returncode == 0
    agent.settings.write_text("[nonsense]\n")
    done = machine.run(COMMAND, "agent", "reload")
    assert done.returncode == 1 and "nonsense" in done.stderr


def test_a_list_of_more_than_a_page_is_whole(machine):
    agent = machine.use_agent(settings=machine.settings.read_text() + "[quota]\nrate = 1000\n")
    names = [f"device-{number:04}" for number in range(1200)]
    with agent.connect() as connection:
        for name in names:
            connection.send(json.dumps({"version": 1, "operation": "identity", "timeout": 60000,
                                        "uri": f"aliyun-iot:a1X509ec000/{name}"}).encode())
            assert json.loads(connection.recv(1 << 20))["ok"]
    done = machine.run(COMMAND, "agent", "list")
    assert [line.partition("\t")[0].partition("/")[2] for line in done.stdout.splitlines()] == names


def test_operators_need_an_agent_and_a_known_word(machine):
    done = machine.run(COMMAND, "agent", "status")
    assert done.returncode == 1 and "no agent is named" in done.stderr
    for words, phrase in (
            ([], "no subcommand given"), (["stop"], 'unknown subcommand "stop"'),
            (["evict"], "agent takes status"), (["status", "now"], "agent takes status")):
        done = machine.run(COMMAND, "agent", *words)
        assert done.returncode == 2 and phrase in done.stderr


# systemd.

# The agent starts after a line, or the end, of standard input: systemd holds the socket until then.
ACTIVATE = """\
import os, socket, sys
path, notify, *command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(path)
listener.listen()
sys.stdin.readline()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", NOTIFY_SOCKET=notify,
                  WATCHDOG_USEC="200000", WATCHDOG_PID=str(os.getpid()))
os.execv(command[0], command)
"""


class Systemd:
    """Holds the socket of an agent, and is told its state."""

    def __init__(self, machine, **options):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-"))
        self.socket = folder / "socket"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.settimeout(PATIENCE_S)
        conf = machine.directory / "agent.conf"
        conf.write_text(machine.settings.read_text())
        self.process = machine.start("/usr/bin/python3", "-c", ACTIVATE, self.socket,
                                     folder / "notify", AGENT, "--config", conf, **options)
        machine.environment["ALIYUN_IOT_AGENT"] = str(self.socket)

    def stop(self):
        self.process.terminate()
        assert self.process.wait() == 0
        while self.manager.recv(1000) != b"STOPPING=1":
            pass
        # What systemd made, it keeps.
        assert self.socket.exists()
        shutil.rmtree(self.socket.parent)


def test_a_socket_of_systemd_is_used_and_the_manager_is_told(machine, cloud):
    systemd = Systemd(machine, stdin=subprocess.DEVNULL)
    manager = systemd.manager
    assert manager.recv(1000) == b"READY=1"
    assert manager.recv(1000) == b"WATCHDOG=1"
    assert machine.run(COMMAND, "show", URI).returncode == 0
    systemd.process.send_signal(signal.SIGHUP)
    said = []
    while b"READY=1" not in said:
        said.append(manager.recv(1000))
    assert any(state.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for state in said)
    systemd.stop()


def test_what_was_sent_before_systemd_started_the_agent_is_answered(machine, cloud):
    systemd = Systemd(machine, stdin=subprocess.PIPE)
    end = time.monotonic() + PATIENCE_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        while connection.connect_ex(str(systemd.socket)):
            assert time.monotonic() < end
        connection.send(b'{"version": 1, "operation": "health"}')
        program = machine.start(COMMAND, "show", URI, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        systemd.process.stdin.write("\n")
        systemd.process.stdin.flush()
        answer = json.loads(connection.recv(1 << 20))
        assert answer["ok"] or answer["reason"] == "RECONNECT"
        output = program.communicate()
        assert program.returncode == 0, output
    systemd.stop()


# One command's own agent.

def private(machine, *command, **options):
    return machine.run(AGENT, "--", *command, **options)


def test_a_command_has_an_agent_of_its_own_and_no_credentials(machine):
    done = private(machine, "/bin/sh", "-c", f"env; {COMMAND} show {URI}",
                   environment={"ALICLOUD_ACCESS_KEY": "old", "ALIBABA_CLOUD_OTHER": "x"})
    assert done.returncode == 0, done.stderr
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert "ALIYUN_IOT_AGENT" in names
    assert not [name for name in names if name.startswith(("ALIBABA", "ALICLOUD"))]
    assert "CertSN:" in done.stdout
    assert os.listdir(machine.runtime) in ([], ["aliyun-iot"])


def test_an_agent_ends_as_its_command_ended(machine):
    assert private(machine, "/bin/sh", "-c", "exit 7").returncode == 7
    assert private(machine, "/bin/sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL
    done = private(machine, "/no/such/program")
    assert done.returncode == 1 and "/no/such/program: No such file" in done.stderr
    assert os.listdir(machine.runtime) == []


def test_signals_are_passed_on_to_the_command(machine):
    process = machine.start(AGENT, "--", "/bin/sh", "-c",
                            "trap 'echo terminated; exit 3' TERM; echo ready; while :; do sleep 0.1; done",
                            stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.stdout.readline() == "terminated\n"
    assert process.wait() == 3


@pytest.mark.skipif(bool(sanitizer_environment()) or AGENT_BUILD != BUILD,
                    reason="a sanitizer sets this limit itself")
def test_a_command_may_make_a_core_and_the_agent_may_not(machine):
    done = private(machine, "/bin/sh", "-c", "ulimit -c; cat /proc/$PPID/limits",
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096)))
    assert done.stdout.splitlines()[0] in ("8", "4")
    assert "Max core file size        0 " in done.stdout


@pytest.mark.parametrize("arguments, problem", [
    (["--"], "-- without a command"), (["command"], "a command stands after --"),
    (["--nonsense"], "wrong option"), (["--socket", "/tmp/x", "--", "true"], "--socket has no meaning")])
def test_wrong_usage_is_status_2(machine, arguments, problem):
    done = machine.run(AGENT, *arguments)
    assert done.returncode == 2 and problem in done.stderr


# Secrets.

def test_the_agent_cannot_be_traced_and_has_no_core(agent):
    status = pathlib.Path(f"/proc/{agent.process.pid}")
    assert os.stat(status / "mem").st_uid == 0
    assert "Max core file size        0 " in (status / "limits").read_text()
    if os.getuid() != 0:
        with pytest.raises(PermissionError):
            (status / "environ").read_text()


def test_a_program_that_asks_an_agent_maps_no_libcurl(machine, agent):
    done = machine.run(BUILD / "tests" / "programs" / "maps", URI)
    assert done.returncode == 0, done.stderr
    assert "libcurl" not in done.stdout and "cloud.so" not in done.stdout


def test_many_threads_and_a_restart_of_the_agent_give_right_results_or_one_error(machine, agent):
    assert sign(machine).returncode == 0
    stop = threading.Event()
    results = []

    def loop():
        while not stop.is_set():
            results.append(machine.run(COMMAND, "show", URI))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        agent.process.terminate()
        agent.process.wait()
        agent.start()
    stop.set()
    for thread in threads:
        thread.join()
    for done in results:
        assert done.returncode == 0 or done.stderr.count("\n") == 1, done.stderr
    assert any(done.returncode == 0 for done in results)
