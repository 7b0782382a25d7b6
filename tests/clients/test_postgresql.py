# SPDX-License-Identifier: Apache-2.0
"""psql, by libpq, connects to PostgreSQL as a device."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import types

import pytest

from machine import end_process, free_port, wait_for_text

row = pytest.mark.row

# As it refuses to run as root.
DROP = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


class PostgreSQL:
    """A server in a folder of its own, which its user can get at."""

    def __init__(self, certificate_folder, device_ca):
        as_server = DROP if os.getuid() == 0 else []
        owner = "postgres" if os.getuid() == 0 else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postgresql-"))
        programs = max(pathlib.Path("/usr/lib/postgresql").iterdir(),
                       key=lambda path: int(path.name)) / "bin"
        self.port = free_port()
        self.log = self.folder / "log"
        for path in [*certificate_folder.glob("server.*"), device_ca]:
            shutil.copy(path, self.folder)
        (self.folder / "server.key").chmod(0o600)
        for path in [self.folder, *self.folder.iterdir()]:
            if owner:
                shutil.chown(path, owner, owner)
        data = self.folder / "data"
        subprocess.run([*as_server, programs / "initdb", "--no-sync", "-A", "trust", "-U", "device",
                        "-D", data], check=True, capture_output=True, cwd="/")
        (data / "pg_hba.conf").write_text(
            "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n")
        (data / "postgresql.conf").write_text(f"""\
listen_addresses = '127.0.0.1'
port = {self.port}
unix_socket_directories = ''
fsync = off
ssl = on
ssl_cert_file = '{self.folder}/server.pem'
ssl_key_file = '{self.folder}/server.key'
ssl_ca_file = '{self.folder}/{device_ca.name}'
""")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([*as_server, programs / "postgres", "-D", data],
                                            stdout=log, stderr=log, cwd="/")

    def stop(self):
        end_process(self.process)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def server(cloud_process, server_certificate):
    server = PostgreSQL(server_certificate, cloud_process.device_ca)
    try:
        wait_for_text("ready to accept connections", server.log, server.process)
        yield server
    finally:
        server.stop()


def connect(device, server, identity):
    """The server itself says whose certificate it has seen."""
    done = device.machine.run(
        "psql", "--no-psqlrc", "--tuples-only", "--no-align",
        "--command", "select client_serial from pg_stat_ssl where pid = pg_backend_pid()",
        f"host=localhost port={server.port} user=device dbname=postgres sslmode=verify-full "
        f"sslrootcert={device.ca} {identity}")
    assert done.returncode == 0, done.stderr
    device.assert_connected(types.SimpleNamespace(serials=[int(done.stdout)]), done.stderr)


@row("psql", "PEM identity file")
def test_psql_connects_with_a_pem_identity_file(device, server):
    identity = device.identity()
    identity.chmod(0o600)  # libpq demands of a key file what it is about to find in it
    connect(device, server, f"sslcert={identity} sslkey={identity}")


@row("psql", "engine")
def test_psql_connects_by_engine(engine, device, server):
    connect(device, server, f"sslcert={device.identity()} sslkey={device.short_uri}")
