# SPDX-License-Identifier: Apache-2.0
"""A network that drops connections silently, as a NAT does with idle ones."""
import select
import socket
import subprocess
import threading

import pytest

from machine import BUILD, PATIENCE_S

FLEET = BUILD / "tests" / "programs" / "fleet"
PRODUCT = "a1X509rsa00"
KEPT_MAX = 32  # connections that a process keeps


class Network:
    """Forwards connections to the cloud, and can drop those that it has: the client's bytes are
    then taken, and nothing comes back. silenced: of those, how many bytes came from the client."""

    def __init__(self, endpoint):
        host, _, port = endpoint.rpartition("//")[2].rpartition(":")
        self.cloud = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.endpoint = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.changed = threading.Condition()
        self.pairs = []
        self.connections = 0
        self.silenced = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                server = socket.create_connection(self.cloud)
                self.pairs.append((client, server))
                self.changed.notify_all()
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client, server):
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(1 << 16)
                with self.changed:
                    if client in self.silenced:
                        if ready is client:
                            self.silenced[client] += len(data)
                            self.changed.notify_all()
                        data = data if ready is client else b"dropped"
                    elif data:
                        (server if ready is client else client).sendall(data)
                if not data:
                    client.close()
                    server.close()
                    return

    def drop_all(self):
        """Every connection that there is falls silent."""
        with self.changed:
            self.silenced = {client: 0 for client, _ in self.pairs if client.fileno() >= 0}
            return len(self.silenced)

    def asked_in_vain(self):
        """On how many of the dropped connections a request was sent (a close_notify is short)."""
        with self.changed:
            return sum(size > 100 for size in self.silenced.values())

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def network(cloud):
    network = Network(cloud.endpoint)
    yield network
    network.stop()


class Fleet:
    """A process with many threads that lives while this test asks it for devices."""

    def __init__(self, machine, threads):
        self.process = machine.start(FLEET, threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     bufsize=1)

    def ask(self, *devices):
        for device in devices:
            self.process.stdin.write(f"aliyun-iot://{PRODUCT}/{device}\n")
        self.process.stdin.flush()
        answers = (self.process.stdout.readline().split(" ", 1) for _ in devices)
        return {uri.rpartition("/")[2]: result.rstrip("\n") for uri, result in answers}

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=PATIENCE_S) == 0
        self.process.stdout.close()


@pytest.fixture
def fleet(machine, network):
    # A try on a kept connection has half of the time.
    machine.write_settings(f"endpoint = {network.endpoint}\ntimeout = 60s\ntry-timeout = 6s",
                           quota="rate = 1000\nburst = 100")
    fleet = Fleet(machine, KEPT_MAX)
    yield fleet
    fleet.stop()


def keep_connections(fleet, cloud, count):
    """Lets the process use so many connections at once, which it keeps."""
    devices = [f"harness-{number}" for number in range(count)]
    cloud.fault({"together": count}, times=count)
    results = fleet.ask(*devices)
    assert results == {device: str(cloud.serial(PRODUCT, device)) for device in devices}


def test_dead_connections_cost_one_short_try_and_not_a_call(fleet, network, cloud):
    keep_connections(fleet, cloud, KEPT_MAX)
    assert network.connections == KEPT_MAX
    assert network.drop_all() == KEPT_MAX
    assert fleet.ask("device-1") == {"device-1": str(cloud.serial(PRODUCT, "device-1"))}
    assert network.asked_in_vain() == 1
    assert len(cloud.calls("device-1")) == 1
    # The others were closed, so nobody else asks in vain.
    assert network.connections == KEPT_MAX + 1
    assert fleet.ask("device-2") == {"device-2": str(cloud.serial(PRODUCT, "device-2"))}
    assert network.asked_in_vain() == 1
    assert network.connections == KEPT_MAX + 1


def test_calls_that_meet_dead_connections_at_once_all_succeed(fleet, network, cloud):
    keep_connections(fleet, cloud, KEPT_MAX)
    network.drop_all()
    devices = [f"device-{number}" for number in range(KEPT_MAX)]
    results = fleet.ask(*devices)
    assert results == {device: str(cloud.serial(PRODUCT, device)) for device in devices}
    assert len(cloud.calls()) == 2 * KEPT_MAX


def test_an_answer_that_never_comes_leaves_time_for_another_try(fleet, cloud):
    cloud.fault({"silent": True}, times=1)
    assert fleet.ask("device-1") == {"device-1": str(cloud.serial(PRODUCT, "device-1"))}
    assert len(cloud.calls()) == 2
