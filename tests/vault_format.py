#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The format of a vault's files, written from its description alone (fetch/vault/sealing.h and
fetch/base/identity_record.h).

Run, it prints test vectors, those of tests/vault-vectors.json: another version of the product must
read them too. Their keys and certificates are made anew at each run.
"""
import datetime
import hashlib
import json
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"AIOTSEAL\x01"
NAMES = ("account", "region", "instance_id", "product_key", "device_name")
# In the order of their numbers.
RSA_PARAMETERS = ("n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp")
GROUP, PUBLIC, EC_PRIVATE, OCTETS_PRIVATE = 8, 9, 10, 11


def key_id(key):
    return hashlib.sha256(b"aliyun-iot vault key id 1\0" + key).digest()[:16]


def names_of(values):
    return b"".join(value.encode() + b"\0" for value in values)


def file_name(names):
    return hashlib.sha256(names).hexdigest()


def seal(key, nonce, names, content):
    head = MAGIC + key_id(key) + nonce + struct.pack(">H", len(names)) + names
    return head + AESGCM(key).encrypt(nonce, content, head)


def unseal(key, data):
    """The names and the content; an error if the key did not seal the data."""
    assert data[:9] == MAGIC and data[9:25] == key_id(key)
    size = struct.unpack(">H", data[37:39])[0]
    head = data[:39 + size]
    return head[39:], AESGCM(key).decrypt(data[25:37], data[39 + size:], head)


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        assert len(taken) == size
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def vector(self, size):
        return self.take(self.number(size))


def read_record(data):
    reader = Reader(data)
    record = {name: reader.number(8) for name in ("fetched", "not_before", "not_after")}
    record["key_type"] = reader.vector(1).decode()
    record["serial_number"] = reader.vector(4).decode()
    record["request_id"] = reader.vector(4).decode()
    record["certificates"] = [reader.vector(4) for _ in range(reader.number(1))]
    record["key"] = reader.vector(4)
    record["parameters"] = {}
    for _ in range(reader.number(1)):
        number = reader.number(1)
        record["parameters"][number] = reader.vector(4)
    assert not reader.data
    return record


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def write_record(record):
    return b"".join([
        *(struct.pack(">Q", record[name]) for name in ("fetched", "not_before", "not_after")),
        vector(1, record["key_type"].encode()), vector(4, record["serial_number"].encode()),
        vector(4, record["request_id"].encode()),
        bytes([len(record["certificates"])]), *(vector(4, der) for der in record["certificates"]),
        vector(4, record["key"]), bytes([len(record["parameters"])]),
        *(bytes([number]) + vector(4, value) for number, value in record["parameters"].items())])


def digits(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def parameters_of(key):
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        public = numbers.public_numbers
        values = [public.n, public.e, *(getattr(numbers, name) for name in RSA_PARAMETERS[2:])]
        return {number: digits(value) for number, value in enumerate(values)}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_bytes(serialization.Encoding.X962,
                                              serialization.PublicFormat.UncompressedPoint)
        return {GROUP: b"prime256v1", PUBLIC: point,
                EC_PRIVATE: digits(key.private_numbers().private_value)}
    raw = serialization.Encoding.Raw
    return {PUBLIC: key.public_key().public_bytes(raw, serialization.PublicFormat.Raw),
            OCTETS_PRIVATE: key.private_bytes(raw, serialization.PrivateFormat.Raw,
                                              serialization.NoEncryption())}


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test vector")])
    certificate = x509.CertificateBuilder(
        name, name, key.public_key(), 4711, datetime.datetime(2020, 1, 1),
        datetime.datetime(2120, 1, 1))
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return certificate.sign(key, digest).public_bytes(serialization.Encoding.DER)


def make_vector(key_type, key, values):
    record = write_record({
        "fetched": 1767225600, "not_before": 1577836800, "not_after": 4733510400,
        "key_type": key_type, "serial_number": "4711", "request_id": "",
        "certificates": [certificate_of(key)],
        "key": key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                 serialization.NoEncryption()),
        "parameters": parameters_of(key)})
    sealing_key = hashlib.sha256(key_type.encode()).digest()
    names = names_of(values)
    sealed = seal(sealing_key, hashlib.sha256(names).digest()[:12], names, record)
    return {"key": sealing_key.hex(), "key_id": key_id(sealing_key).hex(),
            **dict(zip(NAMES, values)), "file_name": file_name(names), "record": record.hex(),
            "file": sealed.hex()}


def main():
    print(json.dumps([
        make_vector("RSA", rsa.generate_private_key(65537, 2048),
                    ("default", "cn-shanghai", "", "a1B2c3D4e5F", "device-1")),
        make_vector("EC", ec.generate_private_key(ec.SECP256R1()),
                    ("production", "cn-shanghai", "iot-060a02m5", "a1B2c3D4e5F", "d:2@x.y_z-0")),
        make_vector("ED25519", ed25519.Ed25519PrivateKey.generate(),
                    ("default", "ap-southeast-1", "", "a1B2c3D4e5F", "device-3")),
    ], indent=1))


if __name__ == "__main__":
    main()
