# SPDX-License-Identifier: Apache-2.0
"""The stand-in takes what Alibaba Cloud's own clients send, and refuses it with a wrong secret."""
import calendar
import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import account  # noqa: E402
from gateway import Gateway, Request  # noqa: E402

VECTORS = json.loads((HERE.parent / "signature-vectors.json").read_text())
# What the clients of the first generation send with an RPC signature.
HEADERS_OF_THE_FIRST_GENERATION = [("x-acs-action", "QueryDeviceCert"),
                                   ("x-acs-version", "2018-01-20")]


class NoDevices:
    @staticmethod
    def find(_product, _device):
        return None, False


def ask(request, vector, secret, date):
    """The gateway's answer, at the time of the vector, to the owner of an AccessKey."""
    owner = account.Account(1000)
    owner.keys = {vector["access_key_id"]: account.Key(secret, token=vector["security_token"])}
    gateway = Gateway(owner, NoDevices)
    gateway.clock_offset = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ")) - time.time()
    return gateway.answer(request)[2]


def rpc_request(vector, headers=()):
    """Request of pop-core, whose bytes on the wire the vector has."""
    wire = vector["popcore_wire"]
    headers = [("host", "iot.cn-shanghai.aliyuncs.com"), *headers]
    if wire["where"] == "query":
        return Request("GET", "/?" + wire["encoded"], headers, b"")
    headers.append(("content-type", "application/x-www-form-urlencoded"))
    return Request("POST", "/", headers, wire["encoded"].encode())


def acs3_request(vector):
    headers = [*vector["signed_headers"].items(), ("authorization", vector["authorization"]),
               ("accept", "application/json")]
    query = urllib.parse.urlencode(vector["query"], quote_via=urllib.parse.quote)
    return Request(vector["method"], "/?" + query, headers, vector["body"].encode())


def is_accepted(answer):
    """The vectors' products and devices do not exist: an error about them comes after all checks."""
    return answer["Code"].startswith("iot.") or answer["Code"] in ("MissingDeviceName",
                                                                  "MissingProductKey")


@pytest.mark.parametrize("headers", [(), HEADERS_OF_THE_FIRST_GENERATION], ids=["bare", "x-acs"])
@pytest.mark.parametrize("vector", VECTORS["v1"], ids=lambda vector: vector["id"])
def test_rpc_requests_of_the_official_client_are_accepted(vector, headers):
    date = vector["params"]["Timestamp"]
    right = ask(rpc_request(vector, headers), vector, vector["access_key_secret"], date)
    assert is_accepted(right), right
    wrong = ask(rpc_request(vector, headers), vector, "wrong", date)
    assert wrong["Code"] == "SignatureDoesNotMatch"
    assert wrong["Message"] == ("Specified signature is not matched with our calculation. server "
                                f"string to sign is:{vector['string_to_sign']}")


@pytest.mark.parametrize("vector", VECTORS["v3"], ids=lambda vector: vector["id"])
def test_acs3_requests_of_the_official_client_are_accepted(vector):
    date = vector["signed_headers"]["x-acs-date"]
    right = ask(acs3_request(vector), vector, vector["access_key_secret"], date)
    assert is_accepted(right), right
    wrong = ask(acs3_request(vector), vector, "wrong", date)
    assert wrong["Code"] == "SignatureDoesNotMatch"
    assert wrong["Message"] == (
        "Specified signature does not match our calculation. server StringToSign is "
        f"[{vector['string_to_sign']}] server CanonicalRequest is [{vector['canonical_request']}]")


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """The official clients, from npm."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    try:
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
             "@alicloud/pop-core@1.8.0", "@alicloud/openapi-client@0.4.15"],
            cwd=folder, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm could not install the official clients within two minutes")
    if done.returncode:
        pytest.skip(f"npm could not install the official clients: {done.stderr[-300:]}")
    return folder / "node_modules"


@pytest.mark.parametrize("name", ["pop-core GET", "pop-core POST", "openapi-client",
                                  "openapi-client v2"])
@pytest.mark.parametrize("secret, outcome", [
    (account.FULL_KEY[1], "accepted"), ("wrong", "SignatureDoesNotMatch")],
    ids=["right secret", "wrong secret"])
def test_official_clients_are_accepted_by_their_secret(cloud, node_modules, name, secret, outcome):
    done = subprocess.run(
        ["node", str(HERE / "official_client.js"), name, cloud.endpoint, str(cloud.ca),
         account.FULL_KEY[0], secret], capture_output=True, text=True, timeout=300,
        env={"PATH": "/usr/bin:/bin", "NODE_PATH": str(node_modules)})
    assert done.stdout == outcome + "\n", done.stderr
