# SPDX-License-Identifier: Apache-2.0
"""Keys that are not data: they sign elsewhere, and nobody's ordinary key is taken for one."""
import os

import pytest

from machine import BUILD, MODULE, PRODUCTS, VALGRIND

SIGNER = BUILD / "tests/programs/signer"
URIS = {name: f"aliyun-iot://{product}/device-1" for name, product in PRODUCTS.items()}


@pytest.fixture
def opaque(machine_of_each_order):
    """A machine whose devices' keys only sign."""
    machine_of_each_order.environment["ALIYUN_IOT_MODULES"] = str(SIGNER)
    return machine_of_each_order


@pytest.mark.parametrize("case", ["both-kinds", "opaque-first", "child-context", "provider-reload",
                                  "threads", "no-opaque-key"])
def test_opaque_and_ordinary_keys_do_not_disturb_each_other(opaque, case):
    key = opaque.directory / "key.pem"
    assert opaque.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-out", key).returncode == 0
    done = opaque.run(BUILD / "tests/programs/opaque", case, *URIS.values(), key,
                      environment={"PROVIDERS": str(MODULE.parent)})
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["URI", "PEM identity file"])
def way(request, opaque):
    """Gives for a device's URI what programs open."""
    if request.param == "PEM identity file":
        opaque.expect_opaque_keys()
        return opaque.identity_file
    return str


@pytest.mark.parametrize("name", URIS)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_handshake_is_signed_elsewhere(opaque, way, cloud, web, server_certificate, name, version):
    where = way(URIS[name])
    done = opaque.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                      server_certificate / "ca.pem", "-verify_return_error", "-quiet", version,
                      "-cert", where, "-key", where, input="GET / HTTP/1.0\r\n\r\n")
    assert web.serials == [cloud.serial(PRODUCTS[name], "device-1")], done.stderr


CONNECT = """\
import ssl, sys, urllib.request
ca, where, url = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(where)
urllib.request.urlopen(url, context=context)
"""


def test_a_signer_that_does_not_sign_is_named_by_the_program_or_the_trace(opaque, web,
                                                                          server_certificate):
    opaque.expect_opaque_keys()
    where = opaque.identity_file(URIS["RSA"])
    opaque.environment["SIGNER_GONE"] = "yes"
    ca, problem = server_certificate / "ca.pem", f"{URIS['RSA']}: the signer of the test is gone"
    done = opaque.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile", ca,
                      "-quiet", "-cert", where, "-key", where)
    assert done.returncode != 0 and problem in done.stderr
    # It shows the last error of the queue, which is libssl's.
    done = opaque.run("/usr/bin/python3", "-c", CONNECT, ca, where, web.url)
    assert done.returncode != 0 and "SSL" in done.stderr
    assert opaque.trace.read_text().count(problem) == 2
    assert web.serials == []


@pytest.mark.parametrize("name", URIS)
def test_a_message_is_signed_elsewhere(opaque, way, tmp_path, name):
    where = way(URIS[name])
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_text("to be signed")
    done = opaque.run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", where, "-in", message,
                      "-out", signature)
    assert done.returncode == 0, done.stderr
    done = opaque.run("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", URIS[name],
                      "-in", message, "-sigfile", signature)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", URIS)
def test_a_request_for_a_certificate_is_signed_elsewhere(opaque, way, name):
    done = opaque.run("openssl", "req", "-new", "-key", way(URIS[name]), "-subj", "/CN=device",
                      "-verify")
    assert done.returncode == 0 and "verify OK" in done.stderr + done.stdout, done.stderr


@pytest.mark.parametrize("name", ["RSA", "EC"])
def test_a_cms_message_is_signed_elsewhere(opaque, way, cloud, tmp_path, name):
    where = way(URIS[name])
    message, signed = tmp_path / "message", tmp_path / "signed"
    message.write_text("to be signed")
    done = opaque.run("openssl", "cms", "-sign", "-binary", "-nodetach", "-in", message, "-signer",
                      where, "-inkey", where, "-outform", "PEM", "-out", signed)
    assert done.returncode == 0, done.stderr
    done = opaque.run("openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", signed,
                      "-CAfile", cloud.device_ca, "-purpose", "any")
    assert done.returncode == 0 and done.stdout == "to be signed", done.stderr


def test_pss_is_signed_with_a_salt_as_long_as_the_digest(opaque, way, tmp_path):
    where = way(URIS["RSA"])
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_text("to be signed")
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt"]
    done = opaque.run("openssl", "dgst", "-sha384", "-sign", where, *options,
                      "rsa_pss_saltlen:digest", "-out", signature, message)
    assert done.returncode == 0, done.stderr
    done = opaque.run("openssl", "dgst", "-sha384", "-verify", URIS["RSA"], *options,
                      "rsa_pss_saltlen:48", "-signature", signature, message)
    assert done.returncode == 0, done.stderr
    done = opaque.run("openssl", "dgst", "-sha384", "-sign", where, *options,
                      "rsa_pss_saltlen:20", message)
    assert done.returncode != 0
    assert "a salt as long as the digest (rsa_pss_saltlen:digest)" in done.stderr


@pytest.mark.parametrize("name", URIS)
def test_a_digest_alone_is_not_signed_and_the_error_says_so(opaque, way, tmp_path, name):
    digest, signature = tmp_path / "digest", tmp_path / "signature"
    digest.write_bytes(bytes(32))
    done = opaque.run("openssl", "pkeyutl", "-sign", "-inkey", way(URIS[name]), "-in", digest,
                      "-out", signature)
    if name == "Ed25519" and done.returncode == 0:
        # Since version 3.5, openssl takes what it is to sign with such a key for the message.
        done = opaque.run("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", URIS[name],
                          "-in", digest, "-sigfile", signature)
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode != 0 and not (signature.exists() and signature.read_bytes())
    assert "signs messages" in done.stderr and "-rawin" in done.stderr


def test_a_message_of_more_than_128_kib_is_not_signed_and_the_error_says_so(opaque, way, tmp_path):
    where = way(URIS["EC"])
    message, signature = tmp_path / "message", tmp_path / "signature"
    for size, works in ((128 * 1024, True), (128 * 1024 + 1, False)):
        message.write_bytes(bytes(size))
        done = opaque.run("openssl", "dgst", "-sha256", "-sign", where, "-out", signature, message)
        assert (done.returncode == 0) == works, done.stderr
    assert "more than 128 KiB" in done.stderr


@pytest.mark.parametrize("name", URIS)
def test_the_private_half_is_not_written(opaque, way, name):
    where = way(URIS[name])
    done = opaque.run("openssl", "pkey", "-in", where)
    assert done.returncode != 0 and "PRIVATE" not in done.stdout
    done = opaque.run("openssl", "pkey", "-in", where, "-pubout")
    assert done.returncode == 0 and "BEGIN PUBLIC KEY" in done.stdout, done.stderr


def test_a_pem_identity_file_needs_a_line_of_openssl_cnf_and_the_error_says_so(opaque):
    done = opaque.run("openssl", "pkey", "-noout", "-in", opaque.identity_file(URIS["RSA"]))
    assert done.returncode != 0
    assert "add opaque-keys = yes to the provider's section of openssl.cnf" in done.stderr


@pytest.mark.parametrize("setting, works", [("", False), ("fips = yes", True)])
def test_a_program_that_demands_fips_gets_the_key_only_if_openssl_cnf_vouches_for_it(
        opaque, setting, works):
    text = opaque.cnf.read_text().replace("[aliyun_iot_sect]", f"[aliyun_iot_sect]\n{setting}")
    opaque.cnf.write_text(text)
    done = opaque.run("openssl", "pkey", "-noout", "-propquery", "fips=yes", "-in", URIS["EC"])
    assert (done.returncode == 0) == works, done.stderr
    if not works:
        assert "excludes the provider of this key" in done.stderr


@pytest.mark.skipif("ALIYUN_IOT_SANITIZED" in os.environ, reason="the sanitizer does this here")
def test_opaque_keys_leave_nothing_behind(opaque, way):
    where = way(URIS["EC"])
    done = opaque.run(*VALGRIND, "openssl", "req", "-new", "-key", where, "-subj", "/CN=device",
                      "-noout")
    assert done.returncode == 0, done.stderr
    done = opaque.run(*VALGRIND, BUILD / "tests/programs/opaque", "threads", *URIS.values(), "none")
    assert done.returncode == 0, done.stderr


def test_what_needs_the_private_half_fails_and_crashes_nothing(opaque):
    message, peer = opaque.directory / "message", opaque.directory / "peer.pem"
    message.write_text("to be encrypted")
    for command in (["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"],
                    ["pkey", "-in", "key.pem", "-pubout", "-out", peer],
                    ["pkeyutl", "-encrypt", "-inkey", URIS["RSA"], "-in", message, "-out", "secret"]):
        done = opaque.run("openssl", *command)
        assert done.returncode == 0, done.stderr
    for command in (["pkeyutl", "-decrypt", "-inkey", URIS["RSA"], "-in", "secret"],
                    ["pkeyutl", "-derive", "-inkey", URIS["EC"], "-peerkey", peer],
                    ["pkcs12", "-export", "-in", URIS["RSA"], "-inkey", URIS["RSA"], "-passout",
                     "pass:word", "-out", "key.p12"],
                    ["rsa", "-in", URIS["RSA"]], ["ec", "-in", URIS["EC"]],
                    ["pkey", "-text", "-noout", "-in", URIS["EC"]]):
        done = opaque.run("openssl", *command)
        assert done.returncode == 1, (command, done.stderr)
        assert "PRIVATE KEY-" not in done.stdout
