# SPDX-License-Identifier: Apache-2.0
"""A vault whose key is wrapped by a key in a PKCS#11 token: SoftHSM's."""
import contextlib
import os
import pathlib
import re
import shutil
import socket

import pytest

from machine import AGENT, BUILD, COMMAND, PRODUCT, free_port, wait_for_port
from softhsm import MODULE, NEEDED, PIN, SoftHsm

TPM_MODULE = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/pkcs11/libtpm2_pkcs11.so*"))), None)
URI = f"aliyun-iot:{PRODUCT}/device-1"
OTHER = f"aliyun-iot:{PRODUCT}/device-2"

pytestmark = NEEDED


class Token(SoftHsm):
    """It has RSA keys, one of which wraps the vault's key."""

    def __init__(self, machine):
        super().__init__(machine, "vault", path="vault", key="pkcs11:token=hsm;object=sealing")
        self.path = machine.directory / "vault"
        self.generate("sealing", "01")

    def generate(self, label, number, kind="rsa:2048"):
        self.tool("--keypairgen", "--key-type", kind, "--id", number, "--label", label)

    def run(self, *words):
        return self.machine.run(COMMAND, "vault", *words)


@pytest.fixture
def token(machine):
    made = Token(machine)
    made.settings()
    return made


@pytest.fixture
def vault(token):
    done = token.run("init")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return token


def show(machine, uri=URI):
    return machine.run(COMMAND, "show", uri)


def fetch(machine, uri=URI):
    done = show(machine, uri)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_clients_connect_from_the_vault_while_the_cloud_is_gone(
        machine, cloud, vault, web, server_certificate):
    identity = machine.identity_file(URI)
    vault.lose_the_cloud()
    done = machine.run("curl", "-sS", "--cacert", server_certificate / "ca.pem", "--cert", identity,
                       web.url)
    assert done.returncode == 0, done.stderr
    done = machine.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                       server_certificate / "ca.pem", "-cert", URI, "-key", URI, "-ign_eof",
                       input="GET / HTTP/1.0\r\n\r\n")
    assert "HTTP/1.0 200" in done.stdout, done.stderr
    assert web.serials == [cloud.serial(PRODUCT, "device-1")] * 2
    assert len(cloud.calls()) == 1


def test_a_process_without_such_a_vault_loads_no_libp11(machine):
    done = machine.run("strace", "-f", "-e", "trace=openat", COMMAND, "show", URI)
    assert done.returncode == 0 and "libp11.so" not in done.stderr and "libcurl" in done.stderr


def test_the_key_lies_in_the_folder_only_as_the_token_wrapped_it(machine, vault):
    fetch(machine)
    text = (vault.path / "keys").read_text()
    assert re.fullmatch("aliyun-iot-vault 1\nkey [0-9a-f]{32}\nwrapped [A-Za-z0-9+/]{342}==\n", text)
    # With another token, as a thief of the folder would have, it is of no use.
    shutil.rmtree(vault.folder)
    vault.folder.mkdir()
    vault.make("hsm")
    vault.generate("sealing", "01")
    done = show(machine)
    assert done.returncode == 1 and "the vault's key cannot be unwrapped" in done.stderr
    assert vault.run("status").returncode == 1
    assert not (vault.path / "set-aside").exists()


@pytest.mark.parametrize("changes, phrase", [
    ({"pin_source": None}, "the token's PIN is not known: set pin-source"),
    ({"pin_source": "file:gone"}, "gone: No such file or directory"),
    ({"pin_source": "5678"}, "expected file:PATH or systemd:NAME"),
    ({"module_path": None}, "PKCS#11 module is not known: set module-path"),
    ({"module_path": "/no/such.so"}, "the PKCS#11 module /no/such.so cannot be loaded"),
    ({"module_path": "/usr/lib/x86_64-linux-gnu/libcjson.so.1"}, "cannot be loaded or refuses"),
    ({"key": "pkcs11:token=other;object=sealing"}, "no token in"),
    ({"key": "pkcs11:token=hsm;object=other"}, "no private key fits"),
    ({"key": "pkcs11:token=hsm;id=%02"}, "no private key fits"),
    ({"key": "pkcs11:token=hsm;object=curve"}, "is no RSA key"),
    ({"key": "pkcs11:token=hsm"}, "more than one private key fits"),
    ({"key": "pkcs11:token=hsm;object=sealing?pin-value=5678"}, "a PIN does not belong in it"),
    ({"key": "pkcs11:token=hsm;colour=red"}, "it has a part that is not known"),
    ({"key": "pkcs11:token=%zz"}, "the PKCS#11 URI in the settings")])
def test_what_is_wrong_is_said(machine, vault, changes, phrase):
    vault.generate("curve", "03", "EC:prime256v1")
    vault.settings(**changes)
    for done in (show(machine), vault.run("status")):
        assert done.returncode == 1 and phrase in done.stderr, done.stderr
        assert PIN not in done.stderr or changes.get("pin_source") == PIN


def test_a_pin_that_others_may_read_is_not_used(machine, vault):
    vault.write_pin(PIN, 0o644)
    done = show(machine)
    assert done.returncode == 1 and "others may read or change it" in done.stderr


@pytest.mark.parametrize("key", [
    "pkcs11:token=hsm;object=sealing;type=private", "pkcs11:id=%01;manufacturer=SoftHSM%20project",
    "pkcs11:model=SoftHSM%20v2;object=sealing"])
def test_each_part_of_a_uri_counts(machine, vault, key):
    fetch(machine)
    vault.settings("endpoint = https://127.0.0.1:1", key=key)
    fetch(machine)


def test_a_uri_may_name_module_and_pin(machine, vault):
    fetch(machine)
    vault.settings(module_path=None, pin_source=None,
                   key=f"pkcs11:token=hsm;object=sealing?module-path={MODULE}&pin-source=file:"
                       f"{vault.pin}")
    fetch(machine)


def test_two_tokens_that_fit_are_one_too_many(machine, vault):
    vault.make("hsm2")
    vault.settings(key="pkcs11:object=sealing")
    done = show(machine)
    assert done.returncode == 1 and "more than one token fits" in done.stderr


def test_a_pin_that_was_refused_is_not_tried_again(machine, vault):
    calls = vault.spy()
    vault.write_pin("9999")
    done = machine.run(BUILD / "tests/programs/fleet", "1", input=f"{URI}\n{OTHER}\n{URI}\n")
    assert done.stdout.count("PIN incorrect") == 1, done.stdout
    assert done.stdout.count("so it is not tried again") == 2
    assert calls.read_text().count("C_Login") == 1


def test_an_agent_logs_in_once_whatever_is_reloaded(machine, cloud, vault):
    calls = vault.spy()
    text = machine.settings.read_text().replace("path = vault", f"path = {vault.path}").replace(
        "file:pin", f"file:{vault.pin}")
    agent = machine.use_agent(settings=text)
    for _ in range(5):
        assert agent.ask(operation="reload")["ok"]
    fetch(machine)
    text = calls.read_text()
    assert text.count("C_Login") == 1 and text.count("C_Initialize") == 1
    assert "C_CloseAllSessions" not in text and "C_Finalize" not in text


def test_a_program_keeps_its_own_session_in_the_same_module(machine, vault):
    fetch(machine)
    second = machine.directory / "second.conf"
    # A vault of the child's own: it opens the token again.
    vault.settings(path="second", key="pkcs11:token=hsm;object=sealing;id=%01")
    assert vault.run("init").returncode == 0
    second.write_text(machine.settings.read_text())
    vault.settings(path="vault", key="pkcs11:token=hsm;object=sealing")
    done = machine.run(BUILD / "tests/programs/pkcs11_user", MODULE, PIN, URI, machine.settings,
                       second)
    assert done.returncode == 0, done.stderr


def test_nothing_waits_for_a_slow_token_but_who_needs_it(machine, vault):
    fetch(machine)
    waits = machine.directory / "waits"
    machine.environment.update(TOKEN_FAULT="slow", TOKEN_MODULE=str(MODULE), TOKEN_FILE=str(waits))
    vault.settings(module_path=BUILD / "tests/programs/faulty_token.so")
    done = machine.run(BUILD / "tests/programs/fork_beside", URI, waits)
    assert done.returncode == 0, done.stderr


def test_a_vault_moves_into_a_token_and_out_of_it(machine, vault):
    for uri in (URI, OTHER):
        fetch(machine, uri)
    vault.generate("second", "02")
    for key in ("pkcs11:token=hsm;object=second", "file:plain.key", "pkcs11:token=hsm;object=sealing"):
        if key.startswith("file:"):
            plain = machine.directory / "plain.key"
            plain.write_bytes(os.urandom(32))
            plain.chmod(0o600)
        done = vault.run("rekey", key)
        assert done.returncode == 0 and done.stdout.startswith("2 entries sealed anew"), done.stderr
        vault.settings("endpoint = https://127.0.0.1:1", key=key)
        for uri in (URI, OTHER):
            fetch(machine, uri)
        assert vault.run("verify").returncode == 0
        assert ("wrapped" in (vault.path / "keys").read_text()) == key.startswith("pkcs11:")


def test_a_token_that_was_taken_away_is_said_and_damages_nothing(machine, vault):
    fetch(machine)
    kept = machine.directory / "kept"
    vault.folder.rename(kept)
    vault.folder.mkdir()
    done = show(machine)
    assert done.returncode == 1 and "no token in" in done.stderr and "insert it" in done.stderr
    vault.folder.rmdir()
    kept.rename(vault.folder)
    vault.lose_the_cloud()
    fetch(machine)


def test_a_token_that_is_not_there_is_looked_for_each_time(machine, vault):
    """SoftHSM finds tokens when it is initialized alone, so this looks at what it is asked."""
    fetch(machine)
    calls = vault.spy()
    vault.settings(key="pkcs11:token=other;object=sealing")

    def lists_of(count):
        calls.write_text("")
        done = machine.run(BUILD / "tests/programs/fleet", "1", input=count * f"{URI}\n")
        assert done.stdout.count("no token in") == count
        return calls.read_text().count("C_GetSlotList")

    assert lists_of(3) == 3 * lists_of(1)


def test_a_missing_module_is_an_error_that_names_the_package(machine, vault):
    modules = machine.directory / "modules"
    modules.mkdir()
    done = machine.run(COMMAND, "show", URI, environment={"ALIYUN_IOT_MODULES": str(modules)})
    assert done.returncode == 1
    assert f"{modules}/token.so is missing; install it" in done.stderr
    assert "aliyun-iot-token" in done.stderr


def test_an_agent_whose_token_is_gone_does_not_start(machine, vault):
    vault.write_pin("9999")
    done = machine.run(AGENT, "--socket", machine.directory / "socket", "--config",
                       machine.settings)
    assert done.returncode == 1 and "PIN incorrect" in done.stderr


def two_free_ports():
    """The first of two that follow each other, as the TPM's libraries expect."""
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port + 1))
            return port


@pytest.fixture
def tpm(machine):
    """A software TPM, and the settings of a vault whose key a key in it wraps."""
    if not TPM_MODULE or not shutil.which("swtpm") or not shutil.which("tpm2_flushcontext"):
        pytest.skip("swtpm, tpm2-tools or libtpm2-pkcs11-1 is not installed")
    state, store = machine.directory / "tpm", machine.directory / "tpm-store"
    state.mkdir()
    store.mkdir()
    port = two_free_ports()
    process = machine.start("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--server",
                            f"type=tcp,port={port},bindaddr=127.0.0.1", "--ctrl",
                            f"type=tcp,port={port + 1},bindaddr=127.0.0.1", "--flags",
                            "not-need-init,startup-clear")
    # Its control port takes connections and goes on; the TPM's own would end with the first.
    wait_for_port(port + 1, process)
    machine.environment.update(TPM2_PKCS11_STORE=str(store), TPM2_PKCS11_LOG_LEVEL="0",
                               TPM2_PKCS11_TCTI=f"swtpm:host=127.0.0.1,port={port}",
                               TPM2TOOLS_TCTI=f"swtpm:host=127.0.0.1,port={port}",
                               TSS2_LOG="all+NONE")
    tool = ("pkcs11-tool", "--module", TPM_MODULE)
    for words in (("--slot-index", "0", "--init-token", "--label", "tpm", "--so-pin", "1234"),
                  ("--token-label", "tpm", "--login", "--login-type", "so", "--so-pin", "1234",
                   "--init-pin", "--new-pin", PIN),
                  ("--token-label", "tpm", "--login", "--pin", PIN, "--keypairgen", "--key-type",
                   "rsa:2048", "--id", "01", "--label", "sealing")):
        done = machine.run(*tool, *words)
        assert done.returncode == 0, done.stderr
    pin = machine.directory / "pin"
    pin.write_text(f"{PIN}\n")
    pin.chmod(0o600)
    return ("path = vault\nkey = pkcs11:token=tpm;object=sealing\n"
            f"module-path = {TPM_MODULE}\npin-source = file:pin")


def as_processes_end(machine):
    """What the kernel's resource manager does for a TPM, which this one does not have."""
    for kind in ("--transient-object", "--loaded-session"):
        done = machine.run("tpm2_flushcontext", kind)
        assert done.returncode == 0, done.stderr


def test_a_tpm_guards_the_vault(machine, cloud, tpm):
    machine.write_settings(vault=tpm)
    done = machine.run(COMMAND, "vault", "init")
    assert done.returncode == 0, done.stderr
    as_processes_end(machine)
    first = fetch(machine)
    machine.write_settings("endpoint = https://127.0.0.1:1", vault=tpm)
    as_processes_end(machine)
    assert fetch(machine) == first
    assert len(cloud.calls()) == 1
    as_processes_end(machine)
    done = machine.run(COMMAND, "vault", "verify")
    assert done.returncode == 0, done.stdout
