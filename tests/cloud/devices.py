# SPDX-License-Identifier: Apache-2.0
"""Products, devices, and the certificates that the platform would have issued to them.

A certificate is shaped as those of the real platform: constant subject and issuer, RSA-2048 by
default, critical KeyUsage and CA:FALSE, valid from 2020 to 2120, a serial of seven bytes that
follows from the device's names, so that tests can compute it.
"""
import base64
import datetime
import fnmatch
import hashlib
import os
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

ISSUER = [(NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "Alibaba Cloud IoT"),
          (NameOID.COMMON_NAME, "Alibaba Cloud IoT Operation CA1")]
SUBJECT = [(NameOID.COMMON_NAME, "Alibaba Cloud IoT Certificate")]
NOT_BEFORE = datetime.datetime(2020, 1, 1)
NOT_AFTER = datetime.datetime(2120, 1, 1)
RSA_KEYS = 8  # generating one takes long, so devices share a few

SLOW_QUESTIONS = 2  # that slow-generating answers with Status 0

# Which framing, or which flaw, a device of product a1Bad000000 or a1Framing00 has.
FRAMINGS = ("plain", "crlf", "literal-newline", "blanks", "base64", "base64-lines", "pkcs8")
FLAWS = ("expired", "not-yet-valid", "mismatched-pair", "wrong-private-half", "no-key",
         "no-certificate", "encrypted-key", "two-keys", "generating", "slow-generating", "failed",
         "garbage", "wrong-types", "status-text")

# Product key: names of its devices (patterns), and what is special about it.
PRODUCTS = {
    "a1X509rsa00": {"devices": ["device-*", "harness-*", "AZaz09-_@.:"]},
    "a1X509ec000": {"devices": ["device-*"], "key": "ec"},
    "a1X509ed000": {"devices": ["device-*"], "key": "ed25519"},
    "a1X509chain": {"devices": ["device-*"], "chain": True},
    "a1Instance0": {"devices": ["device-*"], "instance": "iot-cn-0pp1n8t0001"},
    "a1Secret000": {"devices": ["device-*"], "authentication": "secret"},
    "a1ThirdCA00": {"devices": ["device-*"], "third_party_ca": True},
    "a1Framing00": {"devices": list(FRAMINGS)},
    "a1Bad000000": {"devices": list(FLAWS)},
}


def name_of(parts):
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def pem_of_key(key, form):
    encryption = serialization.NoEncryption()
    if form == "encrypted":
        encryption = serialization.BestAvailableEncryption(b"secret")
    traditional = form == "traditional" and not isinstance(key, ed25519.Ed25519PrivateKey)
    kind = (serialization.PrivateFormat.TraditionalOpenSSL if traditional
            else serialization.PrivateFormat.PKCS8)
    return key.private_bytes(serialization.Encoding.PEM, kind, encryption).decode()


def pem_of_certificate(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def bare(pem, keep_lines):
    lines = [line for line in pem.splitlines() if not line.startswith("-----")]
    return "\n".join(lines) if keep_lines else "".join(lines)


class Authority:
    """A CA whose key and certificate are kept in the folder, so that a restart issues the same."""

    def __init__(self, directory, name, parts, issuer=None):
        key_path = os.path.join(directory, f"{name}.key")
        path = os.path.join(directory, f"{name}.pem")
        if os.path.exists(key_path) and os.path.exists(path):
            with open(key_path, "rb") as file:
                self.key = serialization.load_pem_private_key(file.read(), None)
            with open(path, "rb") as file:
                self.certificate = x509.load_pem_x509_certificate(file.read())
            return
        self.key = rsa.generate_private_key(65537, 2048)
        subject = name_of(parts)
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(issuer.certificate.subject if issuer else subject)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(NOT_BEFORE).not_valid_after(NOT_AFTER)
                   .add_extension(x509.BasicConstraints(True, None), True)
                   .add_extension(x509.KeyUsage(False, False, False, False, False, True, True,
                                                False, False), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(
                       self.key.public_key()), False))
        self.certificate = builder.sign(issuer.key if issuer else self.key, hashes.SHA256())
        write_private(key_path, pem_of_key(self.key, "pkcs8"))
        with open(path, "w") as file:
            file.write(pem_of_certificate(self.certificate))


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


class Devices:
    """All products of the account. Thread-safe."""

    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.Lock()
        self.issuer = Authority(directory, "device-ca", ISSUER)
        self.intermediate = Authority(
            directory, "device-intermediate",
            [(NameOID.COMMON_NAME, "Stand-in Device Intermediate")], self.issuer)
        self.rsa_keys = []
        self._rsa_key(0)  # makes or reads all of them, before anybody waits
        self.issued = {}
        self.generations = {}  # (product, device): how often a new certificate was ordered
        self.deleted = set()
        self.generating = {}  # (product, device): questions left that answer Status 0

    def reset(self):
        with self.lock:
            self.generations.clear()
            self.deleted.clear()
            self.generating.clear()

    def find(self, product, device):
        """The product's description, and whether the device exists in it."""
        description = PRODUCTS.get(product)
        known = description and (product, device) not in self.deleted and any(
            fnmatch.fnmatchcase(device, pattern) for pattern in description["devices"])
        return description, bool(known)

    def reissue(self, product, device):
        with self.lock:
            self.generations[product, device] = self.generations.get((product, device), 0) + 1

    def delete(self, product, device):
        with self.lock:
            self.deleted.add((product, device))

    def generate_for(self, product, device, questions):
        with self.lock:
            self.generating[product, device] = questions

    def serial(self, product, device):
        generation = self.generations.get((product, device), 0)
        digest = hashlib.sha256(f"{product}/{device}/{generation}".encode()).digest()
        return int.from_bytes(b"\x01" + digest[:6], "big")

    def _rsa_key(self, index):
        if not self.rsa_keys:
            path = os.path.join(self.directory, "device-keys.pem")
            if not os.path.exists(path):
                write_private(path, "".join(
                    pem_of_key(rsa.generate_private_key(65537, 2048), "pkcs8")
                    for _ in range(RSA_KEYS)))
            with open(path) as file:
                blocks = file.read().split("-----END PRIVATE KEY-----\n")[:-1]
            self.rsa_keys = [serialization.load_pem_private_key(
                (block + "-----END PRIVATE KEY-----\n").encode(), None) for block in blocks]
        return self.rsa_keys[index % RSA_KEYS]

    def _key(self, kind, serial):
        if kind == "ec":
            return ec.derive_private_key(serial, ec.SECP256R1())
        if kind == "ed25519":
            return ed25519.Ed25519PrivateKey.from_private_bytes(
                hashlib.sha256(str(serial).encode()).digest())
        return self._rsa_key(serial)

    def _issue(self, product, device, serial):
        description = PRODUCTS[product]
        key = self._key(description.get("key", "rsa"), serial)
        issuer = self.intermediate if description.get("chain") else self.issuer
        flaw = device if product == "a1Bad000000" else ""
        begin, end = NOT_BEFORE, NOT_AFTER
        if flaw == "expired":
            begin, end = datetime.datetime(2019, 1, 1), datetime.datetime(2020, 1, 1)
        elif flaw == "not-yet-valid":
            begin = datetime.datetime(2110, 1, 1)
        public = key.public_key()
        if flaw == "mismatched-pair":
            public = self._rsa_key(serial + 1).public_key()
        certificate = (
            x509.CertificateBuilder().subject_name(name_of(SUBJECT))
            .issuer_name(issuer.certificate.subject).public_key(public).serial_number(serial)
            .not_valid_before(begin).not_valid_after(end)
            .add_extension(x509.KeyUsage(True, True, True, True, False, False, False, False,
                                         False), True)
            .add_extension(x509.BasicConstraints(False, None), True)
            .sign(issuer.key, hashes.SHA256()))
        chain = [certificate] + ([self.intermediate.certificate] if description.get("chain") else [])
        return key, chain

    def identity(self, product, device):
        """The key and the chain of a device that exists, issued at the first question."""
        with self.lock:
            serial = self.serial(product, device)
            if (product, device, serial) not in self.issued:
                self.issued[product, device, serial] = self._issue(product, device, serial)
            return self.issued[product, device, serial]

    def information(self, product, device):
        """DeviceCertInfo, as a dictionary."""
        with self.lock:
            slow = product == "a1Bad000000" and device == "slow-generating"
            left = self.generating.get((product, device), SLOW_QUESTIONS if slow else 0)
            if left:
                self.generating[product, device] = left - 1
        if left or device == "generating" and product == "a1Bad000000":
            return {"Status": 0}
        if product == "a1Bad000000" and device == "failed":
            return {"Status": 1}
        key, chain = self.identity(product, device)
        certificate = "".join(pem_of_certificate(one) for one in chain)
        private_key = pem_of_key(key, "traditional")
        if product == "a1Framing00":
            certificate, private_key = frame(device, certificate, private_key, key)
        information = {"Status": 2, "Certificate": certificate, "PrivateKey": private_key,
                       "CertSN": str(chain[0].serial_number)}
        if PRODUCTS[product].get("third_party_ca"):
            information["PrivateKey"] = ""
        if product == "a1Bad000000":
            spoil(device, information, key)
        return information


def frame(framing, certificate, private_key, key):
    if framing == "crlf":
        return certificate.replace("\n", "\r\n"), private_key.replace("\n", "\r\n")
    if framing == "literal-newline":
        return certificate.replace("\n", "\\n"), private_key.replace("\n", "\\n")
    if framing == "blanks":
        return certificate.strip().replace("\n", " "), private_key.strip().replace("\n", " ")
    if framing in ("base64", "base64-lines"):
        keep = framing == "base64-lines"
        return bare(certificate, keep), bare(private_key, keep)
    if framing == "pkcs8":
        return certificate, pem_of_key(key, "pkcs8")
    return certificate, private_key


def pem_with_wrong_private_half(key):
    """An RSA key with the right n and e, and a bit of d and dP changed."""
    der = key.private_bytes(serialization.Encoding.DER,
                            serialization.PrivateFormat.TraditionalOpenSSL,
                            serialization.NoEncryption())
    numbers = key.private_numbers()
    for number in (numbers.d, numbers.dmp1):
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        assert der.count(raw) == 1
        der = der.replace(raw, raw[:-1] + bytes([raw[-1] ^ 4]))
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{text}-----END RSA PRIVATE KEY-----\n"


def spoil(flaw, information, key):
    if flaw == "wrong-private-half":
        information["PrivateKey"] = pem_with_wrong_private_half(key)
    elif flaw == "status-text":
        information["Status"] = "2"
    elif flaw == "no-key":
        del information["PrivateKey"]
    elif flaw == "no-certificate":
        information["Certificate"] = ""
    elif flaw == "encrypted-key":
        information["PrivateKey"] = pem_of_key(key, "encrypted")
    elif flaw == "two-keys":
        information["PrivateKey"] *= 2
    elif flaw == "garbage":
        information["PrivateKey"] = base64.b64encode(b"not a key").decode()
    elif flaw == "wrong-types":
        information["Certificate"] = 17
