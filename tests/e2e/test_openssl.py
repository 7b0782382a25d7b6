# SPDX-License-Identifier: Apache-2.0
"""The openssl command connects, lists and reads by URI; and what the URI, the settings and the cloud
have to do with what it gets."""
import ssl
import subprocess
import textwrap

import pytest

from machine import Machine, PATIENCE_S, PRODUCT as RSA, PRODUCTS
from servers import WebServer

VERSIONS = {"TLS 1.2": (ssl.TLSVersion.TLSv1_2, "-tls1_2"),
            "TLS 1.3": (ssl.TLSVersion.TLSv1_3, "-tls1_3")}


def s_client(machine, web, ca, *options):
    return machine.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                       ca / "ca.pem", "-verify_return_error", "-quiet", *options,
                       input="GET / HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_s_client_connects_by_uri(machine, cloud, server_certificate, product, version):
    server = WebServer(server_certificate, cloud.device_ca, VERSIONS[version][0])
    uri = f"aliyun-iot://{PRODUCTS[product]}/device-1"
    done = s_client(machine, server, server_certificate, "-cert", uri, "-key", uri,
                    VERSIONS[version][1])
    server.stop()
    assert server.serials == [cloud.serial(PRODUCTS[product], "device-1")], done.stderr
    assert len(cloud.calls()) == 1


def test_s_client_connects_in_either_order_of_providers(machine_of_each_order, cloud, web,
                                                        server_certificate):
    uri = f"aliyun-iot:{RSA}/device-1"
    done = s_client(machine_of_each_order, web, server_certificate, "-cert", uri, "-key", uri,
                    "-cert_chain", uri)
    assert web.serials == [cloud.serial(RSA, "device-1")], done.stderr
    assert len(cloud.calls()) == 1


def test_certificate_and_key_of_a_connection_are_of_one_fetch_even_without_a_cache(
        machine, cloud, web, server_certificate):
    machine.write_settings(cache="ttl = 0")
    uri = f"aliyun-iot:{RSA}/device-1"
    done = s_client(machine, web, server_certificate, "-cert", uri, "-key", uri,
                    "-cert_chain", uri)
    assert web.serials == [cloud.serial(RSA, "device-1")], done.stderr
    assert len(cloud.calls()) == 1


def test_s_client_sends_the_intermediates(machine, cloud, web, server_certificate):
    uri = "aliyun-iot://a1X509chain/device-1"
    done = s_client(machine, web, server_certificate, "-cert", uri, "-key", uri, "-cert_chain", uri)
    assert web.serials == [cloud.serial("a1X509chain", "device-1")], done.stderr


def test_storeutl_lists_leaf_intermediates_and_key_in_this_order(machine_of_each_order):
    done = machine_of_each_order.run("openssl", "storeutl", "-noout",
                                     "aliyun-iot:a1X509chain/device-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0: Certificate", "1: Certificate", "2: Pkey",
                                        "Total found: 3"]


@pytest.mark.parametrize("attribute, expected", [
    ("cert", ["0: Certificate", "Total found: 1"]), ("key", ["0: Pkey", "Total found: 1"])])
def test_the_attribute_object_limits_what_is_found(machine, attribute, expected):
    done = machine.run("openssl", "storeutl", "-noout",
                       f"aliyun-iot:{RSA}/device-1?object={attribute}")
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("option, expected", [("-certs", "0: Certificate"), ("-keys", "0: Pkey")])
def test_what_a_program_expects_is_all_it_gets(machine, option, expected):
    done = machine.run("openssl", "storeutl", "-noout", option, f"aliyun-iot:{RSA}/device-1")
    assert done.stdout.splitlines() == [expected, "Total found: 1"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_public_key_is_given_where_one_is_asked_for(machine_of_each_order, product):
    machine, uri = machine_of_each_order, f"aliyun-iot:{PRODUCTS[product]}/device-1"
    private = machine.run("openssl", "pkey", "-in", uri, "-pubout")
    public = machine.run("openssl", "pkey", "-pubin", "-in", uri, "-pubout")
    assert public.returncode == 0, public.stderr
    assert "BEGIN PUBLIC KEY" in public.stdout
    assert public.stdout == private.stdout


def test_a_signature_is_verified_with_the_public_key_of_a_uri(machine, tmp_path):
    uri = f"aliyun-iot:{RSA}/device-1"
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_text("to be signed")
    done = machine.run("openssl", "dgst", "-sha256", "-sign", uri, "-out", signature, message)
    assert done.returncode == 0, done.stderr
    for verify in (["dgst", "-sha256", "-verify", uri, "-signature", signature, message],
                   ["pkeyutl", "-verify", "-rawin", "-digest", "sha256", "-pubin", "-inkey", uri,
                    "-sigfile", signature, "-in", message]):
        done = machine.run("openssl", *verify)
        assert done.returncode == 0, done.stderr
    message.write_text("to be changed")
    done = machine.run("openssl", "dgst", "-sha256", "-verify", uri, "-signature", signature,
                       message)
    assert done.returncode != 0


@pytest.mark.parametrize("attribute, found", [("cert", False), ("key", True)])
def test_the_attribute_object_counts_for_public_keys_too(machine, attribute, found):
    done = machine.run("openssl", "pkey", "-pubin", "-noout", "-in",
                       f"aliyun-iot:{RSA}/device-1?object={attribute}")
    assert (done.returncode == 0) == found, done.stderr


def subject_of(certificate):
    done = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "compat"],
                          input=certificate, text=True, capture_output=True, check=True)
    return done.stdout.strip().partition("subject=")[2].strip()


def test_a_search_by_subject_finds_the_certificates_of_that_name(machine, cloud):
    uri = "aliyun-iot:a1X509chain/device-1"
    subject = subject_of(cloud.control("GET", "/device/a1X509chain/device-1")["certificate"])
    done = machine.run("openssl", "storeutl", "-noout", "-subject", subject, uri)
    assert done.stdout.splitlines() == ["0: Certificate", "Total found: 1"], done.stderr
    done = machine.run("openssl", "storeutl", "-noout", "-subject", "/CN=nobody", uri)
    # Since version 3.5, openssl says nothing if it finds nothing.
    assert done.stdout.splitlines() in (["Total found: 0"], []), done.stderr
    assert done.returncode == 0, done.stderr


def test_a_search_by_other_criteria_is_refused(machine):
    done = machine.run("openssl", "storeutl", "-certs", "-issuer", "/CN=any", "-serial", "1",
                       f"aliyun-iot:{RSA}/device-1")
    assert done.returncode != 0
    assert "doesn't support the given search criteria" in done.stderr
    assert "BEGIN" not in done.stdout


def test_openssl_lists_the_store_loader(machine):
    done = machine.run("openssl", "list", "-store-loaders", "-provider", "aliyun-iot")
    assert "aliyun-iot @ aliyun-iot" in done.stdout


def test_the_key_is_the_devices_own(machine, cloud):
    for product in PRODUCTS.values():
        done = machine.run("openssl", "pkey", "-in", f"aliyun-iot:{product}/device-1")
        key = cloud.control("GET", f"/device/{product}/device-1")["key"]
        assert done.stdout == key


def test_a_process_without_a_uri_neither_calls_nor_loads_the_library(machine, cloud):
    done = machine.run("openssl", "list", "-providers",
                       environment={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT":
                                    str(machine.directory / "loaded")})
    assert done.returncode == 0
    assert "Alibaba Cloud IoT device certificates" in done.stdout
    loaded = "".join(path.read_text() for path in machine.directory.glob("loaded.*"))
    assert "aliyun-iot.so" in loaded
    assert "libaliyun-iot.so.0" not in loaded
    assert cloud.calls() == []


@pytest.mark.parametrize("signature", ["acs3", "rpc"])
def test_both_signatures_bring_the_identity(machine, cloud, signature):
    machine.write_settings(f"signature = {signature}")
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/AZaz09-_@.:")
    assert done.returncode == 0, done.stderr
    call, = cloud.calls()
    assert call["signature"] == signature
    assert call["method"] == "POST"
    assert call["json"]


@pytest.mark.parametrize("signature", ["acs3", "rpc"])
def test_a_temporary_key_is_sent_with_its_token(machine, cloud, signature):
    machine.write_settings(f"signature = {signature}")
    machine.environment.update(ALIBABA_CLOUD_ACCESS_KEY_ID="STS.StandInTemporary00001",
                               ALIBABA_CLOUD_ACCESS_KEY_SECRET="StandInSecretTemporary0000001",
                               ALIBABA_CLOUD_SECURITY_TOKEN="CAISStandInToken+/abc==0001")
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/device-1")
    assert done.returncode == 0, done.stderr
    assert cloud.calls()[0]["access_key_id"] == "STS.StandInTemporary00001"


@pytest.mark.parametrize("by", ["uri", "settings"])
def test_the_instance_is_named_by_uri_or_settings(machine, cloud, by):
    uri = "aliyun-iot:a1Instance0/device-1"
    if by == "settings":
        machine.write_settings("instance-id = iot-cn-0pp1n8t0001")
    else:
        uri += "?instance=iot-cn-0pp1n8t0001"
    done = machine.run("openssl", "storeutl", "-noout", uri)
    assert done.returncode == 0, done.stderr
    assert cloud.calls()[0]["instance"] == "iot-cn-0pp1n8t0001"


@pytest.mark.parametrize("framing", ["plain", "crlf", "literal-newline", "blanks", "base64",
                                     "base64-lines", "pkcs8"])
def test_every_framing_of_the_answer_is_read(machine, framing):
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:a1Framing00/{framing}")
    assert done.stdout.splitlines()[-1] == "Total found: 2", done.stderr


def test_a_new_certificate_is_seen_after_the_time_to_live(machine, cloud):
    """A short time to live, one process: what was stale is refreshed behind its use."""
    machine.write_settings(cache="ttl = 1s", quota="rate = 100")
    program = textwrap.dedent(f"""\
        import ssl, sys, time
        end = time.monotonic() + 60
        before = open(sys.argv[1]).read()
        while time.monotonic() < end:
            try:
                ssl.create_default_context().load_cert_chain(sys.argv[1])
            except ssl.SSLError:
                print("renewed")
                break
            time.sleep(0.6)
    """)
    identity = machine.identity_file("aliyun-iot:a1X509ec000/device-1")
    process = machine.start("/usr/bin/python3", "-c", program, identity, stdout=subprocess.PIPE)
    while len(cloud.calls()) < 2:
        assert process.poll() is None
    cloud.control("POST", "/device/a1X509ec000/device-1", {"reissue": True})
    assert process.communicate(timeout=PATIENCE_S)[0] == "renewed\n"


def test_a_file_whose_certificate_is_no_longer_the_devices_says_so(machine, cloud):
    identity = machine.identity_file("aliyun-iot:a1X509ec000/device-1")
    cloud.control("POST", "/device/a1X509ec000/device-1", {"reissue": True})
    done = machine.run("openssl", "pkey", "-noout", "-in", identity)
    assert done.returncode != 0
    assert "does not match" in done.stderr
    assert "aliyun-iot pem" in done.stderr


def test_settings_are_found_by_the_provider_parameter(tmp_path, cloud):
    machine = Machine(tmp_path, cloud)
    del machine.environment["ALIYUN_IOT_CONFIG"]
    cnf = machine.directory / "openssl.cnf"
    cnf.write_text(cnf.read_text().replace("[aliyun_iot_sect]\n",
                                           f"[aliyun_iot_sect]\nconfig = {machine.settings}\n"))
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/device-1")
    assert done.returncode == 0, done.stderr


def test_settings_are_found_in_the_users_configuration_folder(machine):
    del machine.environment["ALIYUN_IOT_CONFIG"]
    folder = machine.home / ".config" / "aliyun-iot"
    folder.mkdir(parents=True)
    machine.settings.rename(folder / "aliyun-iot.conf")
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/device-1")
    assert done.returncode == 0, done.stderr
