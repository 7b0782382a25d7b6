# SPDX-License-Identifier: Apache-2.0
"""Programs that give a plain connection mutual TLS connect as a device."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import pytest

from clients import needs
from machine import BUILD, PATIENCE_S, THROUGH_AGENT, end_process, free_port, wait_for_port
from servers import SERVER_PATH

row = pytest.mark.row

STUNNEL = """\
foreground = yes
pid =
syslog = no
{engine}
[web]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{web.port}
verifyChain = yes
checkHost = localhost
CAfile = {ca}
{identity}
"""

HAPROXY = """\
global
    maxconn 100
defaults
    mode http
    timeout connect 30s
    timeout client 30s
    timeout server 30s
frontend plain
    bind 127.0.0.1:{port}
    default_backend web
backend web
    server web 127.0.0.1:{web.port} ssl verify required verifyhost localhost ca-file {ca} {identity}
"""


@pytest.fixture
def connect(device, web):
    """Starts a proxy and asks through it; returns what the proxy said. before: what to do when it
    has started."""
    def start_and_ask(configuration, program, *options, engine="", identity, before=None):
        port = free_port()
        path = device.machine.directory / f"{program}.conf"
        path.write_text(configuration.format(port=port, web=web, ca=device.ca, engine=engine,
                                             identity=identity))
        log = device.machine.directory / f"{program}.log"
        with open(log, "w") as output:
            process = device.machine.start(shutil.which(program, path=SERVER_PATH), *options, path,
                                           stdout=output, stderr=output)
        try:
            wait_for_port(port, process)
            if before:
                before()
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S).close()
        except RuntimeError as error:
            raise RuntimeError(log.read_text()) from error
        finally:
            end_process(process)
        assert process.returncode in (0, -signal.SIGTERM), log.read_text()
        return log.read_text()

    return start_and_ask


@pytest.fixture
def library(device):
    """haproxy 3 has a dlopen() of its own before the C library's, which then does not see the run
    path of the module that calls it. Once it is installed, the module knows where the library is."""
    device.machine.environment["LD_LIBRARY_PATH"] = str(BUILD / "fetch")


@row("stunnel", "PEM identity file")
def test_stunnel_connects_with_a_pem_identity_file(device, web, connect):
    log = connect(STUNNEL, "stunnel", identity=f"cert = {device.identity()}")
    device.assert_connected(web, log)


@row("stunnel", "URI")
def test_stunnel_connects_by_uri(device, web, connect):
    needs("stunnel", "5.82", "certificates and keys from a store")
    log = connect(STUNNEL, "stunnel", identity=f"cert = {device.uri}\nkey = {device.uri}")
    device.assert_connected(web, log)


@row("stunnel", "engine")
def test_stunnel_connects_by_engine(engine, device, web, connect):
    log = connect(STUNNEL, "stunnel", engine="engine = aliyun-iot",
                  identity=f"engineId = aliyun-iot\ncert = {device.uri}\nkey = {device.uri}")
    device.assert_connected(web, log)


@row("haproxy", "PEM identity file")
def test_haproxy_connects_to_its_server_with_a_pem_identity_file(device, web, connect, library):
    log = connect(HAPROXY, "haproxy", "-db", "-f", identity=f"crt {device.identity()}")
    device.assert_connected(web, log)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can use chroot")
@pytest.mark.skipif(not THROUGH_AGENT, reason="a key that is data needs no agent")
@pytest.mark.parametrize("is_inside", [False, True])
def test_haproxy_in_a_chroot_finds_an_agent_that_restarted_by_a_socket_inside(
        device, web, connect, library, is_inside):
    agent = device.machine.agent
    # In a short folder: the path of a socket is limited.
    with tempfile.TemporaryDirectory(prefix="root-") as root:
        inside = pathlib.Path(root + str(agent.socket))
        inside.parent.mkdir(parents=True)

        def restart():
            if is_inside:
                with open(agent.settings, "a") as settings:
                    settings.write(f"[socket/main]\npath = {agent.socket}\n"
                                   f"[socket/chroot]\npath = {inside}\n")
                agent.command = agent.command[:agent.command.index("--socket")]
            agent.kill()
            agent.start()

        in_a_chroot = HAPROXY.replace("maxconn 100", f"maxconn 100\n    chroot {root}")
        log = connect(in_a_chroot, "haproxy", "-db", "-f", identity=f"crt {device.identity()}",
                      before=restart)
    assert web.serials == ([device.serial] if is_inside else []), log


@row("socat", "PEM identity file")
def test_socat_connects_with_a_pem_identity_file(device, web):
    socat = device.machine.start("socat", "-", f"OPENSSL:localhost:{web.port},"
                                 f"cert={device.identity()},cafile={device.ca}",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    socat.stdin.write("GET / HTTP/1.0\r\n\r\n")
    # Not closed before the answer is there: socat would close the connection both ways.
    socat.stdin.flush()
    answer = socat.stdout.read()
    socat.stdin.close()
    assert socat.wait(timeout=PATIENCE_S) == 0
    assert "200 OK" in answer
    device.assert_connected(web, answer)
