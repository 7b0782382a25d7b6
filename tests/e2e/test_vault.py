# SPDX-License-Identifier: Apache-2.0
"""A vault serves what was fetched once, and nothing readable lies on the disk."""
import collections
import fcntl
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import time

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import vault_format
from machine import (AGENT, COMMAND, PATIENCE_S, PRODUCT, PRODUCTS, THROUGH_AGENT,
                     sanitizer_environment, user_namespaces)
from servers import Nginx, WebServer

pytestmark = pytest.mark.skipif(THROUGH_AGENT, reason="each test here has a vault of its own")

URI = f"aliyun-iot:{PRODUCT}/device-1"
needs_strace = pytest.mark.skipif(
    bool(sanitizer_environment()) or not shutil.which("strace"),
    reason="strace is missing, or the sanitizer's own system calls would be counted")


class Vault:
    def __init__(self, machine):
        self.machine = machine
        self.path = machine.directory / "vault"
        self.key = self.new_key("vault.key")
        self.sections = {"path": "vault", "key": "file:vault.key"}

    def new_key(self, name):
        key = self.machine.directory / name
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        return key

    def settings(self, cloud="", **changes):
        self.sections.update({name.replace("_", "-"): value for name, value in changes.items()})
        self.machine.write_settings(
            cloud, vault="\n".join(f"{name} = {value}" for name, value in self.sections.items()))

    def lose_the_cloud(self):
        """What connects to it is refused; so whoever needs it fails."""
        self.settings("endpoint = https://127.0.0.1:1")

    def run(self, *words, **options):
        return self.machine.run(COMMAND, "vault", *words, **options)

    def files(self):
        return [path for path in self.path.rglob("*")
                if path.is_file() and re.fullmatch("[0-9a-f]{64}", path.name)
                and path.parent.name != "set-aside"]

    def records(self, key=None):
        """(product, device): record of each entry, by another implementation of the format."""
        records = {}
        for path in self.files():
            names, content = vault_format.unseal((key or self.key).read_bytes(), path.read_bytes())
            assert vault_format.file_name(names) == path.name
            account, region, instance, product, device, rest = names.decode().split("\0")
            assert (account, region, instance, rest) == ("default", "cn-shanghai", "", "")
            records[product, device] = vault_format.read_record(content)
        return records

    def status(self):
        done = self.run("status")
        assert done.returncode == 0, done.stderr
        return dict(re.split(r": +", line, maxsplit=1) for line in done.stdout.splitlines())


@pytest.fixture
def vault(machine):
    made = Vault(machine)
    made.settings()
    done = made.run("init")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return made


def show(machine, uri=URI):
    return machine.run(COMMAND, "show", uri)


def fetch(machine, uri=URI):
    done = show(machine, uri)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_key_of(record):
    return serialization.load_der_private_key(record["key"], None)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_device_that_was_fetched_once_needs_no_cloud_and_no_libcurl(machine, cloud, vault, product):
    uri = f"aliyun-iot:{product}/device-1"
    first = fetch(machine, uri)
    vault.lose_the_cloud()
    machine.trace.write_text("")
    for name in [*machine.environment]:
        if name.startswith("ALIBABA_CLOUD_ACCESS"):
            del machine.environment[name]
    assert fetch(machine, uri) == first
    assert "loaded module=" not in machine.trace.read_text()
    assert len(cloud.calls()) == 1
    done = show(machine, f"aliyun-iot:{product}/device-2")
    assert done.returncode == 1 and "no AccessKey" in done.stderr


def connect_by_s_client(device, web, version):
    done = device.machine.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                              device.ca, f"-{version}", "-cert", device.uri, "-key", device.uri,
                              "-verify_return_error", "-ign_eof",
                              input="GET / HTTP/1.0\r\n\r\n")
    assert "HTTP/1.0 200" in done.stdout, done.stderr


def connect_by_curl(device, web, version):
    option = {"tls1_2": ["--tls-max", "1.2"], "tls1_3": ["--tlsv1.3"]}[version]
    done = device.machine.run("curl", "-sS", *option, "--cacert", device.ca, "--cert",
                              device.identity, web.url)
    assert done.returncode == 0, done.stderr


def connect_by_nginx(device, web, version):
    nginx = Nginx(device.machine, f"""location / {{
        proxy_pass https://localhost:{web.port};
        proxy_ssl_protocols {version.replace("tls", "TLSv").replace("_", ".")};
        proxy_ssl_trusted_certificate {device.ca};
        proxy_ssl_verify on;
        proxy_ssl_certificate {device.identity};
        proxy_ssl_certificate_key {device.identity};
    }}""")
    done = device.machine.run("curl", "-sS", "-f", f"http://127.0.0.1:{nginx.port}/")
    nginx.stop()
    assert done.returncode == 0, done.stderr + nginx.error_log.read_text()


CLIENTS = {"s_client": connect_by_s_client, "curl": connect_by_curl, "nginx": connect_by_nginx}
Device = collections.namedtuple("Device", "machine uri identity ca")


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
@pytest.mark.parametrize("client", CLIENTS)
def test_clients_connect_from_the_vault_while_the_cloud_is_gone(
        machine, cloud, vault, server_certificate, client, version):
    identity = machine.identity_file(URI)
    device = Device(machine, URI, identity, server_certificate / "ca.pem")
    vault.lose_the_cloud()
    web = WebServer(server_certificate, cloud.device_ca,
                    {"tls1_2": ssl.TLSVersion.TLSv1_2, "tls1_3": ssl.TLSVersion.TLSv1_3}[version])
    try:
        CLIENTS[client](device, web, version)
    finally:
        web.stop()
    assert web.serials == [cloud.serial(PRODUCT, "device-1")]
    assert len(cloud.calls()) == 1


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_mosquitto_pub_connects_from_the_vault_while_the_cloud_is_gone(
        machine, cloud, vault, broker, server_certificate, version):
    identity = machine.identity_file(URI)
    vault.lose_the_cloud()
    done = machine.run("mosquitto_pub", "-h", "localhost", "-p", broker.port, "--cafile",
                       server_certificate / "ca.pem", "--cert", identity, "--key", identity,
                       "--tls-version", version, "-t", "topic", "-m", "hello")
    assert done.returncode == 0, done.stderr
    assert broker.serials == [cloud.serial(PRODUCT, "device-1")]


def test_another_program_reads_the_files_by_their_description(machine, cloud, vault):
    for product in PRODUCTS.values():
        fetch(machine, f"aliyun-iot:{product}/device-1")
    records = vault.records()
    assert len(records) == 3
    for (product, device), record in records.items():
        leaf = x509.load_der_x509_certificate(record["certificates"][0])
        assert leaf.serial_number == cloud.serial(product, device)
        assert leaf.public_key().public_numbers() == make_key_of(record).public_key() \
            .public_numbers() if record["key_type"] != "ED25519" else True
        assert abs(record["fetched"] - time.time()) < PATIENCE_S
        assert record["request_id"]


# Files on the disk.

def secrets_of(record):
    """The numbers of a private key, as they would lie in memory or in DER; and its texts."""
    key = make_key_of(record)
    parameters = [value for number, value in record["parameters"].items()
                  if number in (2, 3, 4, 5, 6, 7, 10, 11)]
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    lines = pem.splitlines()[2:4] or pem.splitlines()[1:2]
    return [part for value in parameters for part in (value[-24:], value[::-1][:24])] + lines


@needs_strace
@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_nothing_that_is_written_anywhere_holds_the_key(machine, cloud, vault, product):
    log = machine.directory / "strace.log"
    uri = f"aliyun-iot:{product}/device-1"
    done = machine.run("strace", "-f", "-xx", "-s", "1000000", "-e",
                       "trace=write,pwrite64,writev,sendto,sendmsg", "-o", log, COMMAND, "show", uri)
    assert done.returncode == 0, done.stderr
    record = vault.records()[product, "device-1"]
    secrets = secrets_of(record)
    assert len(secrets) >= 3 and all(len(secret) >= 16 for secret in secrets)
    written = log.read_text()
    # The test can see what is written.
    (sealed,) = vault.files()
    assert "".join(f"\\x{byte:02x}" for byte in sealed.read_bytes()[:64]) in written
    for secret in secrets:
        assert "".join(f"\\x{byte:02x}" for byte in secret) not in written
    for path in machine.directory.rglob("*"):
        if path.is_file() and path != log:
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], path
            assert b"PRIVATE KEY" not in content, path


STEPS = ("mkdirat", "openat", "write", "fchmod", "fsync", "renameat", "close", "unlinkat")


def steps_of_a_write(machine, vault):
    """(call, how many of it its thread made before and with it) of each call about the vault."""
    log = machine.directory / "strace.log"
    done = machine.run("strace", "-f", "-y", "-o", log, "-e", "trace=" + ",".join(STEPS),
                       COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr
    counts, steps = collections.Counter(), []
    for line in log.read_text().splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if not found or found[2] not in STEPS:
            continue
        counts[found[1], found[2]] += 1
        if str(vault.path) in line:
            steps.append((found[2], counts[found[1], found[2]]))
    return steps


def run_with(machine, injection, step):
    call, number = step
    return machine.run("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                       f"inject={call}:{injection}:when={number}", COMMAND, "show", URI)


@needs_strace
@pytest.mark.parametrize("first", [True, False], ids=["first", "again"])
def test_whoever_is_killed_at_any_step_leaves_the_old_entry_or_the_new_one(
        machine, cloud, vault, first):
    if not first:
        fetch(machine)
    # Each fetch asks the cloud, and seals anew what it answers.
    vault.settings(ttl="0s", max_stale="0s")
    steps = steps_of_a_write(machine, vault)
    assert {"openat", "write", "fsync", "renameat"} <= {call for call, _ in steps}
    assert len(steps) >= 12
    killed = 0
    for step in steps:
        if first:
            shutil.rmtree(vault.path)
            assert vault.run("init").returncode == 0
        done = run_with(machine, "signal=KILL", step)
        killed += done.returncode != 0
        assert len(vault.records()) in ((0, 1) if first else (1,)), step
        vault.settings("endpoint = https://127.0.0.1:1", ttl="24h", max_stale="30d")
        if not first:
            fetch(machine)
        vault.settings(ttl="0s", max_stale="0s")
        assert show(machine).returncode == 0
    assert killed >= len(steps) - 2
    done = vault.run("verify")
    assert done.returncode == 0 and "1 entries, 0 with a fault" in done.stdout, done.stdout


@needs_strace
@pytest.mark.parametrize("fault", ["ENOSPC", "EDQUOT", "EIO", "EROFS"])
def test_whatever_step_fails_the_program_is_served_and_the_old_entry_stays(
        machine, cloud, vault, fault):
    fetch(machine)
    vault.settings(ttl="0s", max_stale="0s")
    for step in steps_of_a_write(machine, vault):
        if step[0] in ("close", "unlinkat"):
            continue
        done = run_with(machine, f"error={fault}", step)
        if done.returncode:
            # The vault could not even be opened; or it is the step of another thread too.
            assert (step[0] == "openat" and str(vault.path) in done.stderr or
                    "standard output: " in done.stderr), (step, done.stderr)
        assert len(vault.records()) == 1, step
        assert not [*vault.path.rglob(".new-*")], step
    done = vault.run("verify")
    assert done.returncode == 0, done.stdout


IN_A_SMALL_FILE_SYSTEM = """\
set -e
mount -t tmpfs -o size=64k,mode=0700 tmpfs {path}
{command} vault init
head -c 60000 /dev/zero >{path}/filler 2>/dev/null || true
{command} show {uri} >/dev/null
find {path} -name '.new-*' | grep . && exit 3
rm {path}/filler
{command} show {uri} >/dev/null
{command} vault verify
mount -o remount,ro {path}
{command} show {uri} >/dev/null
{command} show {other} >/dev/null
"""


def test_a_full_disk_and_one_that_is_read_only_harm_nobody(machine, cloud, vault):
    if not user_namespaces():
        pytest.skip("needs a user namespace")
    shutil.rmtree(vault.path)
    vault.path.mkdir(0o700)
    script = IN_A_SMALL_FILE_SYSTEM.format(path=vault.path, command=COMMAND, uri=URI,
                                           other=f"aliyun-iot:{PRODUCT}/device-2")
    done = machine.run("unshare", "--map-root-user", "--mount", "sh", "-c", script)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "1 entries, 0 with a fault" in done.stdout
    # One for the full disk, one that was kept, one for the other device.
    assert len(cloud.calls()) == 3
    assert "No space left on device" in machine.trace.read_text()
    assert "Read-only file system" in machine.trace.read_text()


def test_processes_that_share_a_vault_never_see_half_an_entry(machine, cloud, vault):
    vault.settings(ttl="0s", max_stale="0s")
    script = f"for i in 1 2 3 4 5 6 7 8 9 10; do {COMMAND} show {URI} >/dev/null || exit 1; done"
    writers = [machine.start("sh", "-c", script, stderr=subprocess.PIPE) for _ in range(6)]
    while any(writer.poll() is None for writer in writers):
        done = vault.run("verify")
        assert done.returncode == 0, done.stdout + done.stderr
    assert [writer.returncode for writer in writers] == [0] * 6
    assert not (vault.path / "set-aside").exists()


def test_a_file_that_anyone_changed_is_set_aside_and_reported_once(machine, cloud, vault):
    fetch(machine)
    (path,) = vault.files()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    fetch(machine)
    fetch(machine)
    assert len(cloud.calls()) == 2
    text = machine.trace.read_text()
    assert text.count("was set aside, to be fetched again: it is damaged") == 1
    assert vault.status()["set aside"] == "1"


def test_a_device_that_is_gone_leaves_the_vault(machine, cloud, vault):
    fetch(machine)
    cloud.control("POST", f"/device/{PRODUCT}/device-1", {"delete": True})
    vault.settings(ttl="0s", max_stale="0s")
    assert show(machine).returncode == 1
    assert not vault.files()


# The command.

def test_status_tells_what_the_vault_holds(machine, cloud, vault):
    for number in range(1, 4):
        fetch(machine, f"aliyun-iot:{PRODUCT}/device-{number}")
    status = vault.status()
    assert status["vault"] == str(vault.path)
    assert status["key"] == f"file:{vault.key}"
    assert status["key id"] == vault_format.key_id(vault.key.read_bytes()).hex()
    assert (status["entries"], status["unusable"], status["set aside"]) == ("3", "0", "0")
    assert int(status["bytes"]) == sum(path.stat().st_size for path in vault.files())
    oldest, expiry = (time.mktime(time.strptime(status[name], "%Y-%m-%dT%H:%M:%SZ"))
                      for name in ("oldest", "next expiry"))
    assert expiry - oldest == 31 * 24 * 60 * 60


def test_purge_removes_what_a_pattern_names(machine, cloud, vault):
    for name in ("device-1", "device-2", "device-10"):
        fetch(machine, f"aliyun-iot:{PRODUCT}/{name}")
    done = vault.run("purge", f"{PRODUCT}/device-1*")
    assert (done.returncode, done.stdout) == (0, "2 removed\n")
    assert [device for _, device in vault.records()] == ["device-2"]
    done = vault.run("purge", "everything")
    assert done.returncode == 2 and "is no pattern of devices" in done.stderr


def test_verify_finds_each_kind_of_damage(machine, cloud, vault):
    names = [f"device-{number}" for number in range(1, 7)]
    for name in names:
        fetch(machine, f"aliyun-iot:{PRODUCT}/{name}")
    paths = vault.files()
    assert len({path.parent for path in paths}) > 1
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"x")
    paths[1].write_bytes(paths[2].read_bytes())
    paths[2].chmod(0o644)
    paths[3].write_bytes(paths[3].read_bytes().replace(b"device-", b"\033[2J\x07xx"))
    paths[4].unlink()
    paths[4].symlink_to(paths[5])
    done = vault.run("verify")
    assert done.returncode == 1
    assert done.stdout.endswith("6 entries, 5 with a fault\n")
    for path, fault in zip(paths, ("it is damaged", "it belongs to another device than its name says",
                                   "others may use it; its mode must be 0600", "it is damaged",
                                   "it is a symbolic link, or no regular file")):
        assert re.search(f"^{path.name}: .*: {re.escape(fault)}$", done.stdout, re.M), done.stdout


def test_a_vault_is_sealed_anew_with_another_key(machine, cloud, vault):
    for number in range(1, 4):
        fetch(machine, f"aliyun-iot:{PRODUCT}/device-{number}")
    before = vault.records()
    new = vault.new_key("new.key")
    done = vault.run("rekey", "file:new.key")
    assert done.returncode == 0 and done.stdout.startswith("3 entries sealed anew"), done.stderr
    assert f"set key = file:{new}" in done.stdout
    assert vault.records(new) == before
    done = show(machine)
    assert done.returncode == 1 and "name the vault's own key in section [vault]" in done.stderr
    vault.settings("endpoint = https://127.0.0.1:1", key="file:new.key")
    fetch(machine)
    done = vault.run("rekey", "file:new.key")
    assert (done.returncode, done.stdout) == (0, "the vault is sealed with that key already\n")


@needs_strace
def test_a_rekey_that_was_killed_goes_on_and_both_keys_read_meanwhile(machine, cloud, vault):
    uris = [f"aliyun-iot:{PRODUCT}/device-{number}" for number in range(1, 5)]
    for uri in uris:
        fetch(machine, uri)
    vault.new_key("new.key")
    # keys, four entries, and keys again: a rename each.
    for number in range(1, 7):
        done = machine.run("strace", "-f", "-o", "/dev/null", "-e", "trace=renameat", "-e",
                           "inject=renameat:signal=KILL:when=2", COMMAND, "vault", "rekey",
                           "file:new.key")
        if done.returncode == 0:
            break
        for key in ("vault.key", "new.key") if number > 1 else ("vault.key",):
            vault.settings("endpoint = https://127.0.0.1:1", key=f"file:{key}")
            for uri in uris:
                fetch(machine, uri)
        assert "rekey is not finished" in vault.status()["key id"] or number == 1
        vault.settings(key="file:vault.key")
    assert number > 2
    done = vault.run("rekey", "file:new.key")
    vault.settings("endpoint = https://127.0.0.1:1", key="file:new.key")
    for uri in uris:
        fetch(machine, uri)
    assert vault.run("verify").returncode == 0
    assert "rekey" not in vault.status()["key id"]


@needs_strace
def test_one_command_at_a_time_changes_the_vault_as_a_whole(machine, vault):
    fetch(machine)
    new = vault.new_key("new.key")
    folder = os.open(vault.path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    for words in (["rekey", f"file:{new}"], ["purge", "*/*"]):
        done = vault.run(*words)
        assert done.returncode == 1
        assert "another vault rekey or purge runs; wait until it ends" in done.stderr
    assert vault.run("verify").returncode == 0
    os.close(folder)
    assert vault.run("rekey", f"file:{new}").returncode == 0


def test_rekeys_that_come_at_once_leave_a_whole_vault(machine, vault):
    for number in range(1, 5):
        fetch(machine, f"aliyun-iot:{PRODUCT}/device-{number}")
    for number in range(10):
        key = vault.new_key(f"{number}.key")
        programs = [machine.start(COMMAND, "vault", "rekey", f"file:{key}", stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) for _ in range(3)]
        outputs = [program.communicate() for program in programs]
        statuses = [program.returncode for program in programs]
        assert 0 in statuses, outputs
        # One that comes when another has ended names the older key in its settings.
        for status, (_, errors) in zip(statuses, outputs):
            assert status == 0 or "another vault rekey or purge runs" in errors or \
                "the settings name key" in errors, errors
        vault.settings(key=f"file:{key}")
        done = vault.run("verify")
        assert done.returncode == 0, done.stderr
    assert len(vault.records(key)) == 4


def test_a_rekey_that_cannot_read_an_entry_stops_and_sets_nothing_aside(machine, cloud, vault):
    for number in range(1, 5):
        fetch(machine, f"aliyun-iot:{PRODUCT}/device-{number}")
    vault.new_key("new.key")
    done = machine.run("strace", "-f", "-o", "/dev/null", "-P", vault.files()[0], "-e", "trace=read",
                       "-e", "inject=read:error=EIO", COMMAND, "vault", "rekey", "file:new.key")
    assert done.returncode == 1 and "it cannot be read: Input/output error" in done.stderr
    assert len(vault.files()) == 4 and not (vault.path / "set-aside").exists()
    done = vault.run("rekey", "file:new.key")
    assert done.returncode == 0, done.stderr
    vault.settings("endpoint = https://127.0.0.1:1", key="file:new.key")
    for number in range(1, 5):
        fetch(machine, f"aliyun-iot:{PRODUCT}/device-{number}")


@pytest.mark.parametrize("words, phrase", [
    ([], "vault: no subcommand given"), (["open"], 'unknown subcommand "open"'),
    (["status", "now"], "vault takes init, status"), (["rekey"], "vault takes init, status"),
    (["status", "--agent"], "--agent takes one agent.conf")])
def test_wrong_words_are_refused(vault, words, phrase):
    done = vault.run(*words)
    assert done.returncode == 2 and phrase in done.stderr


@pytest.mark.parametrize("changes, phrase", [
    ({"key": "vault.key"}, "expected file:PATH, systemd:NAME or a pkcs11: URI"),
    ({"key": "systemd:"}, "must be followed by the name of a credential"),
    ({"key": "systemd:../key"}, "must be followed by the name of a credential"),
    ({"key": "systemd:key"}, "systemd gave this process no credentials"),
    ({"key": "file:other.key"}, "other.key: No such file or directory"),
    ({"ttl": "yesterday"}, "ttl")])
def test_settings_that_cannot_be_right_are_refused(machine, vault, changes, phrase):
    vault.settings(**changes)
    for done in (show(machine), vault.run("status")):
        assert done.returncode == 1 and phrase in done.stderr, done.stderr


def test_a_path_without_a_key_and_a_key_without_a_path_are_refused(machine, vault):
    machine.write_settings(vault="path = vault")
    assert "section [vault] has no key" in show(machine).stderr
    machine.write_settings(vault="key = file:vault.key")
    assert "section [vault] has no path" in show(machine).stderr
    machine.write_settings()
    done = vault.run("status")
    assert done.returncode == 1 and "names no vault" in done.stderr


def test_init_takes_only_what_is_empty_and_is_asked_for_by_name(machine, vault):
    done = vault.run("init")
    assert done.returncode == 1 and "it is not empty" in done.stderr
    shutil.rmtree(vault.path)
    done = show(machine)
    assert done.returncode == 1 and "aliyun-iot vault init makes one" in done.stderr
    assert vault.run("init").returncode == 0
    vault.path.chmod(0o755)
    done = show(machine)
    assert done.returncode == 1 and "others may use it; its mode must be 0700" in done.stderr


# The agent.

@pytest.fixture
def agent_settings(machine, vault):
    """The text of an agent.conf whose vault was made."""
    return machine.settings.read_text().replace("path = vault", f"path = {vault.path}").replace(
        "file:vault.key", f"file:{vault.key}")


def test_an_agent_starts_warm_while_the_cloud_is_gone(machine, cloud, vault, agent_settings):
    agent = machine.use_agent(settings=agent_settings)
    first = fetch(machine)
    agent.kill()
    agent.settings.write_text(agent_settings.replace(cloud.endpoint, "https://127.0.0.1:1"))
    agent.start()
    assert fetch(machine) == first
    message = machine.directory / "message"
    message.write_text("a message")
    done = machine.run("openssl", "dgst", "-sha256", "-sign", URI, "-out",
                       machine.directory / "signature", message)
    assert done.returncode == 0, done.stderr
    assert len(cloud.calls()) == 1


def test_a_vault_is_one_agents(machine, vault, agent_settings):
    agent = machine.use_agent(settings=agent_settings)
    second = machine.directory / "second.conf"
    second.write_text(agent_settings)
    done = machine.run(AGENT, "--config", second, "--socket", machine.directory / "second")
    assert done.returncode == 1 and "is another agent's, which runs" in done.stderr
    # It may read its settings again, and be followed by another.
    assert agent.ask(operation="reload")["ok"]
    agent.kill()
    agent.start()
    fetch(machine)


def test_private_agents_share_their_users_vault(machine, cloud, vault):
    one = machine.start(AGENT, "--", "/bin/sh", "-c", f"{COMMAND} show {URI} && echo && read line",
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while one.stdout.readline().strip():
        pass
    done = machine.run(AGENT, "--", COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr
    one.communicate("\n")
    assert one.returncode == 0
    assert len(cloud.calls()) == 1


def test_what_is_old_is_served_and_refreshed_behind(machine, cloud, vault, agent_settings):
    fetch(machine)
    machine.use_agent(settings=agent_settings.replace("[vault]", "[vault]\nttl = 0s") +
                      "[quota]\nrate = 1000\n")
    fetch(machine)
    end = time.monotonic() + PATIENCE_S
    while len(cloud.calls()) < 2:
        fetch(machine)
        assert time.monotonic() < end


def test_the_command_looks_after_an_agents_vault(machine, cloud, vault, agent_settings):
    conf = machine.directory / "agent.conf"
    conf.write_text(agent_settings)
    fetch(machine)
    machine.settings.write_text("")
    assert "names no vault" in vault.run("status").stderr
    done = vault.run("status", "--agent", conf)
    assert done.returncode == 0 and "entries:        1" in done.stdout
    done = vault.run("--agent", conf, "purge", "*/*")
    assert done.stdout == "1 removed\n"
