# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Alibaba Cloud's IoT gateway on loopback: python3 tests/cloud --directory DIR"""
import argparse
import datetime
import ipaddress
import json
import os
import signal
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import account
import oauth
from cloud_sso import CloudSso
from devices import Devices, pem_of_certificate, pem_of_key, write_private
from faults import Faults
from gateway import Gateway
from metadata import Metadata, MetadataHandler
from server import ControlHandler, GatewayHandler, RequestLog, Server, tls_context
from sts import Sts

HOSTS = ["localhost", "iot.cn-shanghai.aliyuncs.com", "sts.aliyuncs.com",
         "sts.cn-shanghai.aliyuncs.com", *oauth.CLIENTS]


def issue_server_certificate(directory):
    """ca.pem, server.pem and server.key, valid for a month."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def build(common_name, key, issuer_name, issuer_key, extensions):
        builder = (x509.CertificateBuilder()
                   .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
                   .issuer_name(issuer_name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=30))
                   # Python 3.13 insists on both, and on the key usage of the CA.
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                                  False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       issuer_key.public_key()), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stand-in Cloud CA")])
    ca = build("Stand-in Cloud CA", ca_key, ca_name, ca_key,
               [(x509.BasicConstraints(True, None), True),
                (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)])
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(host) for host in HOSTS]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = build("localhost", key, ca_name, ca_key,
                        [(x509.SubjectAlternativeName(names), False)])
    with open(os.path.join(directory, "ca.pem"), "w") as file:
        file.write(pem_of_certificate(ca))
    with open(os.path.join(directory, "server.pem"), "w") as file:
        file.write(pem_of_certificate(certificate))
    write_private(os.path.join(directory, "server.key"), pem_of_key(key, "pkcs8"))


class Cloud:
    """Everything that the handlers share."""

    def __init__(self, directory, rate):
        self.devices = Devices(directory)
        self.account = account.Account(rate)
        self.sts = Sts(self.account)
        self.metadata = Metadata()
        self.gateway = Gateway(self.account, self.devices, self.sts)
        self.oauth = oauth.OAuth(self.gateway, self.sts)
        self.cloud_sso = CloudSso(self.gateway, self.sts)
        self.faults = Faults()
        self.log = RequestLog(os.path.join(directory, "requests.jsonl"))

    def reset(self):
        self.faults.clear()
        self.account.reset()
        self.devices.reset()
        self.log.reset()
        self.metadata.reset()
        self.sts.lifetime = None
        self.gateway.clock_offset = 0
        self.gateway.retry_after = None
        self.oauth.reset()

    def answer(self, request):
        """Gateway and login services share a port."""
        for service in (self.oauth, self.cloud_sso):
            if service.serves(request):
                return service.answer(request)
        return self.gateway.answer(request)

    def describe(self, product, device):
        key, chain = self.devices.identity(product, device)
        return {"serial": str(chain[0].serial_number), "sn": str(chain[0].serial_number),
                "fingerprint": chain[0].fingerprint(hashes.SHA256()).hex(),
                "certificate": pem_of_certificate(chain[0]),
                "key": key.private_bytes(serialization.Encoding.PEM,
                                         serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()).decode()}

    def control(self, method, path, body):
        """The control interface, for tests alone: see README.md."""
        if (method, path) == ("GET", ["requests"]):
            return self.log.requests
        if (method, path) == ("GET", ["counts"]):
            return {"requests": len(self.log.requests), "throttled": self.account.throttled,
                    "connections": self.log.connections}
        if (method, path) == ("POST", ["reset"]):
            self.reset()
        elif (method, path) == ("POST", ["faults"]):
            self.faults.order(body.get("match", {}), body.get("times"), body["fault"])
        elif (method, path) == ("DELETE", ["faults"]):
            self.faults.clear()
        elif (method, path) == ("POST", ["clock"]):
            self.gateway.clock_offset = body["offset"]
        elif (method, path) == ("POST", ["sts"]):
            self.sts.lifetime = body["lifetime"]
        elif (method, path) == ("POST", ["key"]):
            self.account.rotate_key(body["from"], body["to"], body["secret"])
        elif (method, path) == ("POST", ["metadata"]):
            self.metadata.mode = body.get("mode", "both")
            self.metadata.delay = body.get("delay", 0)
        elif (method, path) == ("POST", ["rate"]):
            self.account.rate = body["rate"]
            self.gateway.retry_after = body.get("retry_after")
        elif method == "GET" and path[0] == "device":
            return self.describe(path[1], path[2])
        elif method == "POST" and path[0] == "device":
            if "generating" in body:
                self.devices.generate_for(path[1], path[2], body["generating"])
            if body.get("reissue"):
                self.devices.reissue(path[1], path[2])
            if body.get("delete"):
                self.devices.delete(path[1], path[2])
        else:
            raise ValueError("unknown control call")
        return {}


def write_whole(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def write_user_files(directory, endpoint):
    """A settings file and a shell file, for a user who starts this by hand."""
    write_whole(os.path.join(directory, "aliyun-iot.conf"),
                f"[cloud]\nendpoint = {endpoint}\nca-file = {directory}/ca.pem\n")
    write_whole(os.path.join(directory, "environment"),
                f"export ALIYUN_IOT_CONFIG='{directory}/aliyun-iot.conf'\n"
                f"export ALIBABA_CLOUD_ACCESS_KEY_ID={account.FULL_KEY[0]}\n"
                f"export ALIBABA_CLOUD_ACCESS_KEY_SECRET={account.FULL_KEY[1]}\n")


def main():
    parser = argparse.ArgumentParser(prog="tests/cloud", description=__doc__)
    parser.add_argument("--directory", required=True, help="where keys, logs and cloud.json go")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--rate", type=int, default=10, help="calls a second, as the real account")
    options = parser.parse_args()
    directory = os.path.abspath(options.directory)
    os.makedirs(directory, exist_ok=True)

    issue_server_certificate(directory)
    cloud = Cloud(directory, options.rate)
    context = tls_context(os.path.join(directory, "server.pem"),
                          os.path.join(directory, "server.key"))
    gateway = Server(options.port, GatewayHandler, cloud, context)
    control = Server(0, ControlHandler, cloud)
    metadata = Server(0, MetadataHandler, cloud)
    endpoint = f"https://127.0.0.1:{gateway.server_address[1]}"
    for server in (gateway, control, metadata):
        threading.Thread(target=server.serve_forever, daemon=True).start()

    write_user_files(directory, endpoint)
    write_whole(os.path.join(directory, "cloud.json"), json.dumps({
        "endpoint": endpoint, "control": f"http://127.0.0.1:{control.server_address[1]}",
        "metadata": f"http://127.0.0.1:{metadata.server_address[1]}", "pid": os.getpid(), "access_key_id": account.FULL_KEY[0],
        "access_key_secret": account.FULL_KEY[1]}))
    print(f"the stand-in cloud listens on {endpoint}; use: . {directory}/environment", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    sys.exit(main())
