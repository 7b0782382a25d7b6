# SPDX-License-Identifier: Apache-2.0
"""PEM identity files: in any order of their blocks, whatever is on OpenSSL's error queue, the key is
had; and a program that reads only certificates causes no call."""
import re
import textwrap

import pytest

from machine import THROUGH_AGENT, PRODUCT, PRODUCTS

CHAIN = "aliyun-iot://a1X509chain/device-1"
BLOCK = re.compile(r"-----BEGIN ([^\n]+)-----.*?-----END \1-----\n", re.DOTALL)

# What a program may have left on the queue: any error, and one with the reason that makes
# PEM_read_bio_PrivateKey() go on (ERR_R_UNSUPPORTED).
OLDER_ERRORS = {"none": None, "any": 101, "unsupported": 0x8010C}

# Reads with libcrypto as a C program does: argv is the older error's reason, the function, the file.
# It says what it got, and shows the queue on standard error.
READER = textwrap.dedent("""\
    import ctypes, ctypes.util, sys
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
    for name in ("BIO_new_file", "BIO_new_fd", "PEM_read_bio_PrivateKey", "PEM_read_bio_PUBKEY",
                 "PEM_read_bio_Parameters", "PEM_read_bio_X509", "PEM_X509_INFO_read_bio",
                 "X509_STORE_new", "X509_STORE_add_lookup", "X509_LOOKUP_file", "TLS_client_method",
                 "EVP_PKEY_get0_type_name"):
        getattr(crypto, name, getattr(ssl, name, None)).restype = ctypes.c_void_p
    ssl.SSL_CTX_new.restype = ctypes.c_void_p
    reason, what, path = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
    pointer = ctypes.c_void_p
    context = pointer(ssl.SSL_CTX_new(pointer(ssl.TLS_client_method())))
    crypto.ERR_clear_error()
    if reason:
        crypto.ERR_new()
        crypto.ERR_set_error(20, reason, None)

    def bio():
        if path == b"-":
            return pointer(crypto.BIO_new_fd(0, 0))
        return pointer(crypto.BIO_new_file(path, b"r"))

    def read(name):
        return getattr(crypto, name)(bio(), None, None, None)

    def lookup():
        function = crypto.X509_LOOKUP_file
        store = pointer(crypto.X509_STORE_new())
        found = pointer(crypto.X509_STORE_add_lookup(store, pointer(function())))
        return crypto.X509_load_cert_crl_file(found, path, 1)

    got = {
        "key": lambda: read("PEM_read_bio_PrivateKey"),
        "public key": lambda: read("PEM_read_bio_PUBKEY"),
        "parameters": lambda: crypto.PEM_read_bio_Parameters(bio(), None),
        "certificate": lambda: read("PEM_read_bio_X509"),
        "information": lambda: read("PEM_X509_INFO_read_bio"),
        "lookup": lookup,
        "chain": lambda: ssl.SSL_CTX_use_certificate_chain_file(context, path),
        "verify": lambda: ssl.SSL_CTX_load_verify_locations(context, path, None),
        "use": lambda: ssl.SSL_CTX_use_PrivateKey_file(context, path, 1),
    }[what]()
    print("something" if got else "nothing")
    output = pointer(crypto.BIO_new_fd(2, 0))
    crypto.ERR_print_errors(output)
    """)


def read(machine, what, path, reason=None, **options):
    return machine.run("/usr/bin/python3", "-c", READER, str(reason or 0), what, path, **options)


def in_order(machine, uri, order):
    """An identity file with its blocks in that order: indices of the blocks that the command writes,
    certificates first."""
    path = machine.identity_file(uri)
    blocks = [match[0] for match in BLOCK.finditer(path.read_text())]
    path.write_text("".join(blocks[index] for index in order))
    machine.cloud.reset()
    return path


# The chain's product has a leaf (0) and an intermediate (1); the identity block is the last.
ORDERS = {"last": (0, 1, 2), "first": (2, 0, 1), "between": (0, 2, 1), "alone": (2,)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("older", OLDER_ERRORS)
@pytest.mark.parametrize("what", ["key", "use"])
def test_the_key_is_had_whatever_the_queue_holds_and_the_order_is(machine, cloud, order, older, what):
    path = in_order(machine, CHAIN, ORDERS[order])
    done = read(machine, what, path, OLDER_ERRORS[older])
    assert done.stdout == "something\n", done.stderr
    assert len(cloud.calls()) == 1


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_key_is_had_whatever_its_type_is(machine_of_each_order, cloud, product):
    path = in_order(machine_of_each_order, f"aliyun-iot://{PRODUCTS[product]}/device-1", (0, 1))
    done = read(machine_of_each_order, "key", path, OLDER_ERRORS["any"])
    assert done.stdout == "something\n", done.stderr


def test_lines_may_end_with_crlf(machine):
    path = in_order(machine, CHAIN, (0, 1, 2))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    done = read(machine, "key", path, OLDER_ERRORS["any"])
    assert done.stdout == "something\n", done.stderr


def test_a_file_from_a_pipe_gives_its_key(machine):
    path = in_order(machine, CHAIN, (0, 1, 2))
    done = read(machine, "key", "-", input=path.read_text())
    assert done.stdout == "something\n", done.stderr


@pytest.mark.parametrize("older", OLDER_ERRORS)
def test_an_error_of_ours_stays_on_the_queue_behind_the_older_one(machine, cloud, older):
    path = in_order(machine, CHAIN, (0, 2, 1))
    cloud.control("POST", "/device/a1X509chain/device-1", {"reissue": True})
    done = read(machine, "use", path, OLDER_ERRORS[older])
    assert done.stdout == "nothing\n"
    assert "does not match" in done.stderr


def test_a_second_identity_block_is_an_error(machine):
    path = in_order(machine, CHAIN, (0, 2, 1, 2))
    done = read(machine, "key", path, OLDER_ERRORS["any"])
    assert done.stdout == "nothing\n"
    assert "more than once" in done.stderr


@pytest.mark.parametrize("order", ["last", "first", "between"])
@pytest.mark.parametrize("what", ["certificate", "information", "lookup", "chain", "verify"])
def test_who_reads_only_certificates_makes_no_call(machine, cloud, order, what):
    path = in_order(machine, CHAIN, ORDERS[order])
    done = read(machine, what, path)
    assert done.stdout == "something\n", done.stderr
    assert cloud.calls() == []


@pytest.mark.parametrize("what", ["public key", "parameters"])
def test_who_reads_something_else_than_a_private_key_makes_no_call(machine, cloud, what):
    path = in_order(machine, CHAIN, ORDERS["first"])
    assert read(machine, what, path).stdout == "nothing\n"
    assert cloud.calls() == []


@pytest.mark.parametrize("order", ["last", "first", "between"])
@pytest.mark.parametrize("arguments", [
    ("x509", "-noout", "-in"), ("verify", "-partial_chain", "-trusted"), ("storeutl", "-noout", "-certs"),
    ("crl2pkcs7", "-nocrl", "-certfile")], ids=lambda arguments: arguments[0])
def test_an_openssl_command_for_certificates_makes_no_call(machine, cloud, order, arguments):
    path = in_order(machine, CHAIN, ORDERS[order])
    done = machine.run("openssl", *arguments, path, *([path] if arguments[0] == "verify" else []))
    if arguments[0] == "storeutl":
        assert "Total found: 2" in done.stdout, done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert cloud.calls() == []


@pytest.mark.skipif(THROUGH_AGENT, reason="the key is in the agent, so the command cannot write it")
@pytest.mark.parametrize("order", ORDERS)
def test_an_openssl_command_for_keys_makes_one_call(machine_of_each_order, cloud, order):
    path = in_order(machine_of_each_order, CHAIN, ORDERS[order])
    done = machine_of_each_order.run("openssl", "pkey", "-in", path)
    assert done.stdout == cloud.control("GET", "/device/a1X509chain/device-1")["key"], done.stderr
    assert len(cloud.calls()) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_a_store_lists_every_object_of_the_file_in_its_place(machine_of_each_order, cloud, order):
    path = in_order(machine_of_each_order, CHAIN, ORDERS[order])
    names = ["Pkey" if index == 2 else "Certificate" for index in ORDERS[order]]
    done = machine_of_each_order.run("openssl", "storeutl", "-noout", path)
    assert done.stdout.splitlines() == [
        *(f"{index}: {name}" for index, name in enumerate(names)), f"Total found: {len(names)}"]
    assert len(cloud.calls()) == 1
    done = machine_of_each_order.run("openssl", "storeutl", "-noout", "-keys", path)
    assert "0: Pkey\nTotal found: 1\n" in done.stdout, done.stderr


def test_without_identity_files_a_block_is_nothing(machine, cloud):
    path = in_order(machine, f"aliyun-iot://{PRODUCT}/device-1", (0, 1))
    cnf = machine.directory / "openssl.cnf"
    cnf.write_text(cnf.read_text() + "identity-files = no\n")
    assert machine.run("openssl", "pkey", "-in", path).returncode != 0
    assert read(machine, "key", path).stdout == "nothing\n"
    assert cloud.calls() == []
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot://{PRODUCT}/device-1")
    assert done.returncode == 0, done.stderr
