# SPDX-License-Identifier: Apache-2.0
"""Devices whose keys are imported into a PKCS#11 token, and sign there: SoftHSM's."""
import datetime
import re
import signal
import ssl
import subprocess

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import vault_format
from machine import AGENT_BUILD, BUILD, COMMAND, PRODUCT, PRODUCTS, secrets_in
from servers import Nginx, WebServer
from softhsm import MODULE, NEEDED, PIN, SoftHsm

DEVICE = f"{PRODUCT}/device-1"
URI = f"aliyun-iot:{DEVICE}"
# Twenty bytes of a digest of all that names the device, as in a vault.
ID = vault_format.file_name(vault_format.names_of(
    ("default", "cn-shanghai", "", PRODUCT, "device-1")))[:40]

pytestmark = NEEDED


class Token(SoftHsm):
    """The keys of some devices are to be in it."""

    def __init__(self, machine):
        super().__init__(machine, "token", uri="pkcs11:token=hsm", devices=f"{PRODUCT}/device-*")
        machine.expect_opaque_keys()

    def be_faulty(self, fault, **environment):
        self.machine.environment.update(TOKEN_FAULT=fault, TOKEN_MODULE=str(MODULE), **environment)
        self.settings(module_path=BUILD / "tests/programs/faulty_token.so")

    def objects(self, kind):
        return self.tool("--list-objects", "--type", kind)


@pytest.fixture
def token(machine):
    made = Token(machine)
    made.settings()
    return made


def fetch(machine, uri=URI):
    done = machine.run(COMMAND, "show", uri)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sign(machine, uri=URI):
    message = machine.directory / "message"
    message.write_text("a message")
    done = machine.run("openssl", "dgst", "-sha256", "-sign", uri, "-out",
                       machine.directory / "signature", message)
    assert done.returncode == 0, done.stderr
    done = machine.run("openssl", "dgst", "-sha256", "-verify", uri, "-signature",
                       machine.directory / "signature", message)
    assert done.returncode == 0, done.stderr


def use_agent(machine, token):
    return machine.use_agent(
        settings=machine.settings.read_text().replace("file:pin", f"file:{token.pin}"))


def test_a_key_is_imported_once_and_signs_in_the_token(machine, cloud, token):
    first = fetch(machine)
    token.lose_the_cloud()
    again = fetch(machine)
    # The RequestId is that of the call.
    assert re.sub("RequestId: .*", "", again) == re.sub("RequestId: .*", "", first)
    sign(machine)
    assert len(cloud.calls()) == 1
    keys = token.objects("privkey")
    assert f"label:      {DEVICE}" in keys and keys.count("Private Key Object") == 1
    assert "sensitive" in keys and "extractable" not in keys.replace("never extractable", "")
    assert f"label:      {DEVICE}" in token.objects("cert")


def test_the_key_does_not_come_out_of_the_token(machine, token):
    fetch(machine)
    done = machine.run("openssl", "pkey", "-in", URI)
    assert "PRIVATE KEY" not in done.stdout
    assert "Private Key Object" in token.tool("--list-objects", "--type", "privkey", "--id", ID)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("client", ["curl", "s_client", "nginx"])
def test_clients_connect_with_a_key_in_the_token(machine, cloud, token, server_certificate, client,
                                                 version):
    identity = machine.identity_file(URI)
    token.lose_the_cloud()
    ca = server_certificate / "ca.pem"
    web = WebServer(server_certificate, cloud.device_ca,
                    getattr(ssl.TLSVersion, f"TLSv{version.replace('.', '_')}"))
    try:
        if client == "curl":
            done = machine.run("curl", "-sS", "--cacert", ca, "--cert", identity, web.url)
            assert done.returncode == 0, done.stderr
        elif client == "s_client":
            done = machine.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                               ca, "-cert", URI, "-key", URI, "-ign_eof",
                               input="GET / HTTP/1.0\r\n\r\n")
            assert "HTTP/1.0 200" in done.stdout, done.stderr
        else:
            nginx = Nginx(machine, f"""location / {{
                proxy_pass https://localhost:{web.port};
                proxy_ssl_protocols TLSv{version};
                proxy_ssl_trusted_certificate {ca};
                proxy_ssl_verify on;
                proxy_ssl_certificate {identity};
                proxy_ssl_certificate_key {identity};
            }}""", "worker_processes 2;")
            done = machine.run("curl", "-sS", "-f", f"http://127.0.0.1:{nginx.port}/")
            nginx.stop()
            assert done.returncode == 0, done.stderr + nginx.error_log.read_text()
    finally:
        web.stop()
    assert web.serials == [cloud.serial(PRODUCT, "device-1")]
    assert len(cloud.calls()) == 1


def test_mosquitto_pub_connects_with_a_key_in_the_token(machine, cloud, token, broker,
                                                        server_certificate):
    identity = machine.identity_file(URI)
    token.lose_the_cloud()
    done = machine.run("mosquitto_pub", "-h", "localhost", "-p", broker.port, "--cafile",
                       server_certificate / "ca.pem", "--cert", identity, "--key", identity, "-t",
                       "topic", "-m", "hello")
    assert done.returncode == 0, done.stderr
    assert broker.serials == [cloud.serial(PRODUCT, "device-1")]


def test_other_devices_have_their_keys_where_they_had_them(machine, cloud, token):
    token.settings(devices=f"{PRODUCT}/device-2")
    machine.cnf.write_text(machine.cnf.read_text().replace("opaque-keys = yes", ""))
    fetch(machine)
    done = machine.run("openssl", "pkey", "-in", URI)
    assert "PRIVATE KEY" in done.stdout, done.stderr
    assert "Private Key Object" not in token.objects("privkey")


def test_a_key_that_is_not_rsa_is_not_imported(machine, token):
    token.settings(devices="*/*")
    done = machine.run(COMMAND, "show", f"aliyun-iot:{PRODUCTS['EC']}/device-1")
    assert done.returncode == 1
    assert "has a key of type EC, and only RSA keys are imported into a token" in done.stderr
    assert "Private Key Object" not in token.objects("privkey")


def test_an_agent_signs_with_a_key_in_the_token_and_does_not_export_it(machine, cloud, token):
    agent = use_agent(machine, token)
    fetch(machine)
    sign(machine)
    answer = agent.ask(operation="export", uri=URI, timeout=60000)
    assert not answer["ok"] and answer["reason"] == "TOKEN", answer
    agent.kill()
    agent.settings.write_text(agent.settings.read_text().replace(cloud.endpoint, "https://127.0.0.1:1"))
    agent.start()
    sign(machine)
    assert len(cloud.calls()) == 1


@pytest.mark.skipif(AGENT_BUILD != BUILD, reason="a sanitizer maps too much memory to search")
def test_the_process_that_imported_a_key_has_no_private_number_in_its_memory(machine, cloud, token):
    """That the search finds what is there is shown by the test of a process without an agent."""
    pem = cloud.control("GET", f"/device/{PRODUCT}/device-1")["key"].encode()
    private = serialization.load_pem_private_key(pem, None).private_numbers()
    numbers = {name: number.to_bytes((number.bit_length() + 7) // 8, "big") for name, number in (
        ("d", private.d), ("p", private.p), ("q", private.q), ("dmp1", private.dmp1),
        ("dmq1", private.dmq1), ("iqmp", private.iqmp))}
    agent = use_agent(machine, token)
    fetch(machine)
    assert secrets_in(agent.process, numbers) == set()
    sign(machine)
    assert secrets_in(agent.process, numbers) == set()


def expired_certificate_like(der):
    """Of the same key, and a year that is over."""
    leaf = x509.load_der_x509_certificate(der)
    return x509.CertificateBuilder(
        leaf.issuer, leaf.subject, leaf.public_key(), leaf.serial_number,
        datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1)).sign(
            ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
                serialization.Encoding.DER)


@pytest.mark.parametrize("reissue", [False, True], ids=["same key", "new key"])
def test_a_certificate_that_has_expired_in_the_token_is_fetched_and_imported_again(
        machine, cloud, token, reissue):
    fetch(machine)
    cloud.control("POST", f"/device/{PRODUCT}/device-1", {"reissue": reissue})
    file = machine.directory / "certificate.der"
    token.tool("--read-object", "--type", "cert", "--id", ID, "--output-file", file)
    file.write_bytes(expired_certificate_like(file.read_bytes()))
    token.tool("--delete-object", "--type", "cert", "--id", ID)
    token.tool("--write-object", file, "--type", "cert", "--id", ID, "--label", DEVICE)
    assert "not after:    Jan  1 00:00:00 2120 GMT" in fetch(machine)
    assert len(cloud.calls()) == 2
    sign(machine)
    assert token.objects("privkey").count("Private Key Object") == 1
    assert token.objects("cert").count("Certificate Object") == 1


def test_an_import_that_was_interrupted_is_made_again(machine, cloud, token):
    fetch(machine)
    token.tool("--delete-object", "--type", "cert", "--id", ID)
    fetch(machine)
    sign(machine)
    assert len(cloud.calls()) == 2
    assert token.objects("privkey").count("Private Key Object") == 1


@pytest.mark.parametrize("fault, phrase", [
    ("extractable", "it made CKA_EXTRACTABLE true, and the key was removed from it again"),
    ("insensitive", "it made CKA_SENSITIVE false, and the key was removed from it again"),
    ("no-key", "the token does not take the device's key: "),
    ("no-certificate", "the token does not take the device's certificate: ")])
def test_an_import_that_fails_leaves_nothing_in_the_token(machine, cloud, token, fault, phrase):
    token.be_faulty(fault)
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1 and phrase in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and URI in done.stderr
    assert token.objects("privkey") == "" and token.objects("cert") == ""
    token.settings(module_path=MODULE)
    sign(machine)


CHAIN_URI = "aliyun-iot:a1X509chain/device-1"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_import_that_is_killed_at_any_object_is_made_again(machine, cloud, token, count):
    token.be_faulty("killed", TOKEN_COUNT=str(count))
    token.settings(devices="*/*")
    assert machine.run(COMMAND, "show", CHAIN_URI).returncode == -signal.SIGKILL
    token.settings(module_path=MODULE)
    assert "certificates: 2" in fetch(machine, CHAIN_URI)
    sign(machine, CHAIN_URI)
    assert len(cloud.calls()) == 2
    assert token.objects("privkey").count("Private Key Object") == 1
    assert token.objects("cert").count("Certificate Object") == 2


def test_many_devices_need_few_sessions(machine, token):
    token.be_faulty("sessions", TOKEN_COUNT="3")
    done = machine.run(BUILD / "tests/programs/fleet", "1", input="".join(
        f"aliyun-iot:{PRODUCT}/device-{number}\n" for number in range(1, 9)))
    assert "error" not in done.stdout, done.stdout


def test_programs_with_copies_of_the_pin_that_import_at_once_do_not_harm_each_other(machine, token):
    token.be_faulty("late")
    second, copy = machine.directory / "second.conf", machine.directory / "second-pin"
    copy.write_text(PIN)
    copy.chmod(0o600)
    second.write_text(machine.settings.read_text().replace("file:pin", f"file:{copy}"))
    programs = [machine.start(COMMAND, "show", URI, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              environment={"ALIYUN_IOT_CONFIG": str(settings)})
                for settings in (machine.settings, second)]
    for program in programs:
        output = program.communicate()
        assert program.returncode == 0, output
    fetch(machine)
    sign(machine)


def test_a_longer_chain_of_before_is_removed(machine, cloud, token):
    fetch(machine)
    file = machine.directory / "certificate.der"
    token.tool("--read-object", "--type", "cert", "--id", ID, "--output-file", file)
    token.tool("--delete-object", "--type", "privkey", "--id", ID)
    token.tool("--write-object", file, "--type", "cert", "--id", ID, "--label", f"{DEVICE} 01")
    assert "certificates: 1" in fetch(machine)
    assert token.objects("cert").count("Certificate Object") == 1


def test_what_others_have_under_the_id_is_passed_over(machine, cloud, token):
    fetch(machine)
    file = machine.directory / "certificate.der"
    token.tool("--read-object", "--type", "cert", "--id", ID, "--output-file", file)
    for label in ("A foreign one", "z foreign one", f"{DEVICE}0"):
        token.tool("--write-object", file, "--type", "cert", "--id", ID, "--label", label)
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", ID, "--label", "foreign")
    token.tool("--keypairgen", "--key-type", "rsa:2048", "--id", ID, "--label", "foreign")
    assert "certificates: 1" in fetch(machine)
    sign(machine)
    assert len(cloud.calls()) == 1


def test_a_certificate_of_another_key_is_replaced(machine, cloud, token):
    token.settings(devices="*/*")
    fetch(machine)
    fetch(machine, f"aliyun-iot:{PRODUCT}/device-2")
    other = vault_format.file_name(vault_format.names_of(
        ("default", "cn-shanghai", "", PRODUCT, "device-2")))[:40]
    file = machine.directory / "certificate.der"
    token.tool("--read-object", "--type", "cert", "--id", other, "--output-file", file)
    token.tool("--delete-object", "--type", "cert", "--id", ID)
    token.tool("--write-object", file, "--type", "cert", "--id", ID, "--label", DEVICE)
    fetch(machine)
    sign(machine)
    assert len(cloud.calls()) == 3
    assert token.objects("privkey").count("Private Key Object") == 2


def test_an_agent_signs_after_another_process_has_imported_the_key_anew(machine, cloud, token):
    embedded = dict(machine.environment), machine.settings.read_text()
    agent = use_agent(machine, token)
    sign(machine)
    settings = machine.settings.read_text()
    token.tool("--delete-object", "--type", "privkey", "--id", ID)
    machine.settings.write_text(embedded[1])
    done = machine.run(COMMAND, "show", URI, environment=embedded[0])
    assert done.returncode == 0, done.stderr
    machine.settings.write_text(settings)
    sign(machine)
    assert agent.ask(operation="health")["ok"] and len(cloud.calls()) == 2


def test_an_agent_signs_after_its_settings_were_read_again(machine, cloud, token):
    agent = use_agent(machine, token)
    sign(machine)
    for _ in range(3):
        assert agent.ask(operation="reload")["ok"]
        sign(machine)
    assert len(cloud.calls()) == 1


def test_an_agent_that_is_given_another_token_imports_its_devices_there(machine, cloud, token):
    agent = use_agent(machine, token)
    sign(machine)
    token.make("second")
    agent.settings.write_text(agent.settings.read_text().replace("token=hsm", "token=second"))
    assert agent.ask(operation="reload")["ok"]
    done = machine.run(COMMAND, "show", URI)
    # SoftHSM finds tokens only when it is initialized.
    assert done.returncode == 0 or "no token in" in done.stderr, done.stderr
    agent.kill()
    agent.start()
    sign(machine)
    assert len(cloud.calls()) == 2


def test_a_pin_that_was_corrected_is_tried(machine, token):
    token.write_pin("9999")
    agent = use_agent(machine, token)
    for phrase in ("PIN incorrect", "so it is not tried again"):
        assert phrase in machine.run(COMMAND, "show", URI).stderr
    token.write_pin(PIN)
    assert agent.ask(operation="reload")["ok"]
    fetch(machine)
    sign(machine)


RESOLVE_IN_CHILDREN = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
library.aliyun_iot_error_message.restype = ctypes.c_char_p
def resolve():
    identity, error = ctypes.c_void_p(), ctypes.c_void_p()
    library.aliyun_iot_identity_resolve(None, sys.argv[2].encode(), ctypes.byref(identity), None,
                                        ctypes.byref(error))
    print(library.aliyun_iot_error_message(error).decode(), flush=True)
resolve()
for _ in range(3):
    if os.fork() == 0:
        resolve()
        os._exit(0)
    os.wait()
"""


def test_a_pin_that_was_refused_is_not_tried_again_by_children(machine, token):
    calls = token.spy()
    token.write_pin("9999")
    library = BUILD / "fetch" / "libaliyun-iot.so.0"
    done = machine.run("/usr/bin/python3", "-c", RESOLVE_IN_CHILDREN, library, URI)
    assert done.stdout.count("PIN incorrect") == 1 and \
        done.stdout.count("so it is not tried again") == 3, done.stdout + done.stderr
    assert calls.read_text().count("C_Login") == 1


@pytest.mark.parametrize("text, phrase", [("", "it is empty"), ("\n", "it is empty"),
                                          ("56\0" + "78", "it has a NUL character")])
def test_what_is_no_pin_is_not_tried(machine, token, text, phrase):
    calls = token.spy()
    token.write_pin(text)
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1 and phrase in done.stderr, done.stderr
    assert "C_Login" not in calls.read_text()


def test_a_token_that_is_away_does_not_sign_until_it_is_back(machine, cloud, token):
    removed = machine.directory / "removed"
    token.be_faulty("removed", TOKEN_FILE=str(removed))
    agent = use_agent(machine, token)
    sign(machine)
    removed.touch()
    message = machine.directory / "message"
    done = machine.run("openssl", "dgst", "-sha256", "-sign", URI, message)
    assert done.returncode != 0
    assert f"the token does not sign for {DEVICE}: " in done.stderr, done.stderr
    removed.unlink()
    sign(machine)
    assert agent.ask(operation="health")["ok"] and len(cloud.calls()) == 1


def test_a_program_that_uses_the_module_itself_keeps_its_session(machine, cloud, token):
    second = machine.directory / "second.conf"
    second.write_text(machine.settings.read_text().replace(cloud.endpoint, "https://127.0.0.1:1"))
    done = machine.run(BUILD / "tests/programs/pkcs11_user", MODULE, PIN, URI, machine.settings,
                       second)
    assert done.returncode == 0, done.stderr
    assert len(cloud.calls()) == 1


def test_a_pin_that_was_refused_is_not_tried_again_for_another_device(machine, token):
    calls = token.spy()
    token.write_pin("9999")
    done = machine.run(BUILD / "tests/programs/fleet", "1",
                       input="".join(f"aliyun-iot:{PRODUCT}/device-{number}\n" for number in (1, 2, 3)))
    assert done.stdout.count("PIN incorrect") == 1, done.stdout
    assert done.stdout.count("so it is not tried again") == 2
    assert calls.read_text().count("C_Login") == 1


def test_processes_that_come_first_at_once_import_one_key(machine, cloud, token):
    programs = [machine.start(COMMAND, "show", URI, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(3)]
    for program in programs:
        output = program.communicate()
        assert program.returncode == 0, output
    sign(machine)


@pytest.mark.parametrize("changes, phrase", [
    ({"uri": "pkcs11:token=other"}, "no token in"),
    ({"uri": "token=hsm"}, "expected a pkcs11: URI"),
    ({"uri": None}, "section [token] has no uri"),
    ({"devices": None}, "section [token] has no devices"),
    ({"devices": "all"}, "expected patterns of devices"),
    ({"pin_source": None}, "set pin-source in section [token]"),
    ({"module_path": None}, "set module-path in section [token]")])
def test_what_is_wrong_is_said(machine, token, changes, phrase):
    token.settings(**changes)
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1 and phrase in done.stderr, done.stderr
