# SPDX-License-Identifier: Apache-2.0
"""The stand-in itself: it takes what the real gateway takes, and refuses what that refuses."""
import base64
import calendar
import contextlib
import datetime
import gzip
import hashlib
import hmac
import http.client
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.x509.oid import ExtensionOID, NameOID

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import account  # noqa: E402
import server  # noqa: E402
import signature  # noqa: E402

VECTORS = json.loads((HERE.parent / "signature-vectors.json").read_text())
PRODUCT = "a1X509rsa00"


# The signatures, from the fields of the official SDKs' vectors

@pytest.mark.parametrize("vector", VECTORS["percent_encode"], ids=lambda v: repr(v["input"])[:30])
def test_percent_encoding_is_that_of_the_sdks(vector):
    assert signature.percent_encode(vector["input"]) == vector["output"]


@pytest.mark.parametrize("vector", VECTORS["v1"] + VECTORS["official_v1"], ids=lambda v: v["id"])
def test_rpc_signatures_are_those_of_the_sdks(vector):
    to_sign = signature.rpc_string_to_sign(vector["method"], vector["params"].items())
    assert to_sign == vector["string_to_sign"]
    secret = vector.get("access_key_secret") or vector["secret"]
    expected = vector.get("expect") or vector["signature"]
    assert signature.rpc_signature(to_sign, secret) == expected


@pytest.mark.parametrize("vector", VECTORS["v3"] + VECTORS["official_v3"], ids=lambda v: v["id"])
def test_acs3_signatures_are_those_of_the_sdks(vector):
    headers = vector["signed_headers"]
    canonical = signature.acs3_canonical_request(
        vector["method"], vector["pathname"], vector["query"].items(), headers, sorted(headers),
        hashlib.sha256(vector["body"].encode()).hexdigest())
    given = signature.parse_acs3_authorization(vector["authorization"])
    assert given[1] == sorted(headers)
    assert given[2] == signature.acs3_signature(signature.acs3_string_to_sign(canonical),
                                                vector["access_key_secret"])


# A client of its own, which shares nothing with the stand-in's signature.py

def quote(text):
    return urllib.parse.quote(str(text), safe="-_.~")


def query_string(parameters):
    return "&".join(f"{quote(name)}={quote(parameters[name])}" for name in sorted(parameters))


class Client:
    def __init__(self, endpoint, ca):
        self.endpoint = endpoint
        self.ca = ca
        self.host = endpoint.partition("://")[2]
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca))))

    def send(self, method, query, headers, body):
        request = urllib.request.Request(f"{self.endpoint}/?{query}", data=body, headers=headers,
                                         method=method)
        try:
            with self.opener.open(request, timeout=300) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def acs3(self, device="device-1", product=PRODUCT, key=account.FULL_KEY, token=None,
             method="POST", date=None, nonce=None, tamper=None, extra=None,
             action="QueryDeviceCert", version="2018-01-20", accept="application/json"):
        parameters = {"ProductKey": product, "DeviceName": device, **(extra or {})}
        parameters = {name: value for name, value in parameters.items() if value is not None}
        headers = {
            "host": self.host, "x-acs-action": action, "x-acs-version": version,
            "x-acs-date": date or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest()}
        if token:
            headers.update({"x-acs-accesskey-id": key[0], "x-acs-security-token": token})
        names = ";".join(sorted(headers))
        canonical = "\n".join([method, "/", query_string(parameters)] +
                              [f"{name}:{headers[name]}" for name in sorted(headers)] +
                              ["", names, headers["x-acs-content-sha256"]])
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        sign = hmac.new(key[1].encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = (f"ACS3-HMAC-SHA256 Credential={key[0]},SignedHeaders={names},"
                                    f"Signature={sign}")
        headers["Accept"] = accept
        body = b"" if method == "POST" else None
        request = {"parameters": parameters, "headers": headers, "body": body}
        if tamper:
            tamper(request)
        if request["body"] is not None and "Content-Type" not in request["headers"]:
            return self.send_without_type(method, request)
        return self.send(method, query_string(request["parameters"]), request["headers"],
                         request["body"])

    def send_without_type(self, method, request):
        """urllib would add a Content-Type of its own, which would have to be signed."""
        connection = http.client.HTTPSConnection(
            self.host, context=ssl.create_default_context(cafile=str(self.ca)), timeout=300)
        connection.putrequest(method, f"/?{query_string(request['parameters'])}", skip_host=True,
                              skip_accept_encoding=True)
        for name, value in request["headers"].items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(request["body"])))
        try:
            connection.endheaders(request["body"])
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def rpc(self, device="device-1", key=account.FULL_KEY, method="POST", tamper=None, token=None,
            form="JSON"):
        parameters = {
            "Action": "QueryDeviceCert", "Version": "2018-01-20", "Format": form,
            "AccessKeyId": key[0], "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
            "SignatureNonce": uuid.uuid4().hex, "ProductKey": PRODUCT, "DeviceName": device,
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        if token:
            parameters["SecurityToken"] = token
        to_sign = f"{method}&%2F&{quote(query_string(parameters))}"
        digest = hmac.new(f"{key[1]}&".encode(), to_sign.encode(), hashlib.sha1).digest()
        parameters["Signature"] = base64.b64encode(digest).decode()
        if tamper:
            tamper(parameters)
        if method == "GET":
            return self.send("GET", query_string(parameters), {}, None)
        return self.send("POST", "", {"Content-Type": "application/x-www-form-urlencoded"},
                         query_string(parameters).encode())


@contextlib.contextmanager
def running(folder):
    """The stand-in as a process, and a client of it."""
    process = subprocess.Popen([sys.executable, "-W", "error", str(HERE), "--directory", str(folder)],
                               stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        information = json.loads((folder / "cloud.json").read_text())
        client = Client(information["endpoint"], folder / "ca.pem")
        client.folder = folder
        client.control_url = information["control"]
        yield client
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running(tmp_path_factory.mktemp("cloud")) as client:
        yield client


@pytest.fixture
def client(cloud):
    def control(method, path, body=None):
        request = urllib.request.Request(cloud.control_url + path, method=method,
                                         data=json.dumps(body or {}).encode())
        return json.loads(cloud.opener.open(request, timeout=300).read())
    cloud.control = control
    control("POST", "/reset")
    control("POST", "/rate", {"rate": 1000})
    return cloud


def code_of(result):
    return json.loads(result[2]).get("Code")


def information_of(result):
    answer = json.loads(result[2])
    assert answer["Success"] is True, answer
    return answer["DeviceCertInfo"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_both_signatures_are_taken_by_both_methods(client, method):
    assert information_of(client.acs3(method=method))["Status"] == 2
    assert information_of(client.rpc(method=method))["Status"] == 2


def test_a_certificate_is_shaped_as_the_platforms(client):
    information = information_of(client.acs3())
    certificate = x509.load_pem_x509_certificate(information["Certificate"].encode())
    assert certificate.subject.rfc4514_string() == "CN=Alibaba Cloud IoT Certificate"
    assert certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == \
        "Alibaba Cloud IoT Operation CA1"
    assert (certificate.not_valid_before.year, certificate.not_valid_after.year) == (2020, 2120)
    assert (certificate.serial_number.bit_length() + 7) // 8 == 7
    assert str(certificate.serial_number) == information["CertSN"]
    usage = certificate.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    constraints = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    assert constraints.critical and not constraints.value.ca
    assert len(certificate.extensions) == 2
    assert information["PrivateKey"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    key = serialization.load_pem_private_key(information["PrivateKey"].encode(), None)
    assert key.key_size == 2048
    assert key.public_key().public_numbers() == certificate.public_key().public_numbers()
    issuer = x509.load_pem_x509_certificate((client.folder / "device-ca.pem").read_bytes())
    assert certificate.issuer == issuer.subject
    issuer.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes,
                               padding.PKCS1v15(), certificate.signature_hash_algorithm)


def pair_of(information):
    """Certificate and key of PEM with plain line breaks."""
    return (x509.load_pem_x509_certificate(information["Certificate"].encode()),
            serialization.load_pem_private_key(information["PrivateKey"].encode(), None))


def raw_public_key(key):
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_product_decides_the_kind_of_its_keys(client):
    certificate, key = pair_of(information_of(client.acs3(product="a1X509ec000")))
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
    assert raw_public_key(key.public_key()) == raw_public_key(certificate.public_key())
    certificate, key = pair_of(information_of(client.acs3(product="a1X509ed000")))
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    assert raw_public_key(key.public_key()) == raw_public_key(certificate.public_key())


def test_a_chain_follows_the_leaf(client):
    text = information_of(client.acs3(product="a1X509chain"))["Certificate"]
    leaf, intermediate = [x509.load_pem_x509_certificate(
        (block + "-----END CERTIFICATE-----\n").encode())
        for block in text.split("-----END CERTIFICATE-----\n")[:-1]]
    issuer = x509.load_pem_x509_certificate((client.folder / "device-ca.pem").read_bytes())
    assert leaf.issuer == intermediate.subject
    assert intermediate.issuer == issuer.subject


def test_a_third_partys_ca_leaves_no_key_with_the_platform(client):
    information = information_of(client.acs3(product="a1ThirdCA00"))
    assert information["Certificate"] and information["PrivateKey"] == ""


FRAMINGS = {
    "plain": lambda text: text,
    "crlf": lambda text: text.replace("\r\n", "\n"),
    "literal-newline": lambda text: text.replace("\\n", "\n"),
    "blanks": lambda text: re.sub(" (?![A-Z ]*-----)", "\n", text.replace(" -----END", "\n-----END")),
    "base64": None, "base64-lines": None, "pkcs8": lambda text: text,
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_each_framing_holds_the_same_pair_in_its_own_way(client, framing):
    information = information_of(client.acs3(product="a1Framing00", device=framing))
    certificate, key = information["Certificate"], information["PrivateKey"]
    assert ("\r\n" in key, "\\n" in key) == (framing == "crlf", framing == "literal-newline")
    assert ("\n" in key) == (framing not in ("literal-newline", "blanks", "base64"))
    assert ("-----" in certificate, "-----" in key) == (not framing.startswith("base64"),) * 2
    if framing.startswith("base64"):
        certificate = x509.load_der_x509_certificate(base64.b64decode(certificate))
        key = serialization.load_der_private_key(base64.b64decode(key), None)
    else:
        undo = FRAMINGS[framing]
        label = "" if framing == "pkcs8" else "RSA "
        assert key.startswith(f"-----BEGIN {label}PRIVATE KEY-----")
        certificate, key = pair_of({"Certificate": undo(certificate), "PrivateKey": undo(key)})
    assert key.public_key().public_numbers() == certificate.public_key().public_numbers()
    assert str(certificate.serial_number) == information["CertSN"]


def test_each_flaw_is_what_its_name_says(client):
    def flawed(device):
        return information_of(client.acs3(product="a1Bad000000", device=device))

    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert pair_of(flawed("expired"))[0].not_valid_after < now
    assert pair_of(flawed("not-yet-valid"))[0].not_valid_before > now
    certificate, key = pair_of(flawed("mismatched-pair"))
    assert key.public_key().public_numbers() != certificate.public_key().public_numbers()
    information = flawed("wrong-private-half")
    with pytest.raises(ValueError):
        serialization.load_pem_private_key(information["PrivateKey"].encode(), None)
    assert "PrivateKey" not in flawed("no-key")
    assert flawed("no-certificate")["Certificate"] == ""
    assert "ENCRYPTED" in flawed("encrypted-key")["PrivateKey"]
    assert flawed("two-keys")["PrivateKey"].count("BEGIN RSA PRIVATE KEY") == 2
    assert [flawed("generating") for _ in range(3)] == [{"Status": 0}] * 3
    assert [flawed("slow-generating")["Status"] for _ in range(3)] == [0, 0, 2]
    assert flawed("failed") == {"Status": 1}
    assert flawed("status-text")["Status"] == "2"
    assert base64.b64decode(flawed("garbage")["PrivateKey"]) == b"not a key"
    assert isinstance(flawed("wrong-types")["Certificate"], int)


def test_a_device_keeps_its_certificate_and_has_its_own(client):
    first = information_of(client.acs3())["CertSN"]
    assert information_of(client.acs3())["CertSN"] == first
    assert information_of(client.acs3(device="device-2"))["CertSN"] != first


def test_xml_is_the_default_and_json_must_be_asked_for(client):
    status, headers, body = client.acs3(accept="*/*")
    assert headers["Content-Type"].startswith("text/xml")
    root = xml.etree.ElementTree.fromstring(body)
    assert root.tag == "QueryDeviceCertResponse"
    assert root.findtext("Success") == "true"
    assert root.findtext("DeviceCertInfo/Status") == "2"
    root = xml.etree.ElementTree.fromstring(client.rpc(form="XML", key=("x", "y"))[2])
    assert (root.tag, root.findtext("Code")) == ("Error", "InvalidAccessKeyId.NotFound")


def change_header(name, value):
    def tamper(request):
        if value is None:
            del request["headers"][name]
        else:
            request["headers"][name] = value
    return tamper


def change_authorization(old, new):
    def tamper(request):
        assert old in request["headers"]["Authorization"]
        request["headers"]["Authorization"] = request["headers"]["Authorization"].replace(old, new)
    return tamper


def add_parameter(request):
    request["parameters"]["Extra"] = "1"


def change_parameter(request):
    request["parameters"]["DeviceName"] = "device-2"


def change_body(request):
    request["body"] = b"x"


@pytest.mark.parametrize("tamper, code", [
    (change_header("x-acs-date", "2018-01-01T00:00:00Z"), "InvalidTimeStamp.Expired"),
    (change_header("x-acs-date", "yesterday"), "InvalidTimeStamp.Format"),
    (change_header("x-acs-date", "2026-13-45T99:99:99Z"), "InvalidTimeStamp.Format"),
    (change_header("x-acs-date", "Tue, 24 Nov 2026 13:26:49 GMT"), "InvalidTimeStamp.Format"),
    (change_header("x-acs-date", "2100-01-01T00:00:00Z"), "InvalidTimeStamp.Expired"),
    (change_header("x-acs-signature-nonce", "other"), "SignatureDoesNotMatch"),
    (change_header("x-acs-extra", "unsigned"), "IncompleteSignature"),
    (change_header("x-acs-content-sha256", "0" * 64), "InvalidContentSha256"),
    (change_header("x-acs-date", None), "MissingDate"),
    (change_header("x-acs-signature-nonce", None), "MissingSignatureNonce"),
    (change_header("x-acs-action", None), "MissingAction"),
    (change_header("x-acs-version", None), "MissingVersion"),
    (change_header("x-acs-content-sha256", None), "MissingContentSha256"),
    (change_header("Authorization", None), "MissingSignatureMethod"),
    (change_header("Authorization", "ACS3-HMAC-SHA256 Credential=a,Signature=b"),
     "IncompleteSignature"),
    (change_header("Authorization", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,"
                                    "Signature=b,Signature=c"), "IncompleteSignature"),
    (change_authorization("x-acs-date;", ""), "IncompleteSignature"),
    (change_authorization("host;x-acs-action", "x-acs-action;host"), "IncompleteSignature"),
    (change_authorization("host;", ""), "IncompleteSignature"),
    (change_authorization("x-acs-version", "x-acs-version;x-acs-without"), "IncompleteSignature"),
    (change_authorization("Credential=" + account.FULL_KEY[0],
                          "Credential=" + account.REFUSED_KEY[0]), "SignatureDoesNotMatch"),
    (change_header("x-acs-action", "DeleteDevice"), "SignatureDoesNotMatch"),
    (change_header("Authorization", "Basic x"), "IncompleteSignature"),
    (change_header("Content-Type", "text/plain"), "IncompleteSignature"),
    (change_parameter, "SignatureDoesNotMatch"),
    (add_parameter, "SignatureDoesNotMatch"),
    (change_body, "InvalidContentSha256"),
])
def test_an_acs3_request_that_was_tampered_with_is_refused(client, tamper, code):
    result = client.acs3(tamper=tamper)
    assert (result[0] // 100, code_of(result)) == (4, code)


@pytest.mark.parametrize("name, value, code", [
    ("DeviceName", "device-2", "SignatureDoesNotMatch"),
    ("Timestamp", "2018-01-01T00:00:00Z", "InvalidTimeStamp.Expired"),
    ("Signature", "AAAA", "SignatureDoesNotMatch"),
    ("Extra", "1", "SignatureDoesNotMatch"),
    ("SignatureMethod", "HMAC-MD5", "IncompleteSignature"),
    ("SignatureVersion", "2.0", "IncompleteSignature"),
    ("Timestamp", "2100-01-01T00:00:00Z", "InvalidTimeStamp.Expired"),
    ("Timestamp", "2018-01-01 00:00:00", "InvalidTimeStamp.Format"),
    ("SignatureNonce", "other", "SignatureDoesNotMatch"),
    ("AccessKeyId", account.REFUSED_KEY[0], "SignatureDoesNotMatch"),
    ("Timestamp", None, "MissingTimestamp"),
    ("AccessKeyId", None, "MissingAccessKeyId"),
    ("SignatureMethod", None, "MissingSignatureMethod"),
    ("SignatureVersion", None, "MissingSignatureVersion"),
    ("Signature", None, "MissingSignature"),
])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_rpc_request_that_was_tampered_with_is_refused(client, method, name, value, code):
    def tamper(parameters):
        parameters[name] = value
        if value is None:
            del parameters[name]
    assert code_of(client.rpc(method=method, tamper=tamper)) == code


def test_what_is_repeated_or_malformed_is_refused(client):
    headers = {"x-acs-action": "QueryDeviceCert", "Accept": "application/json"}
    assert code_of(client.send("GET", "A=1&A=2", headers, None)) == "InvalidParameter"
    assert client.send("GET", "no-value", {}, None)[0] == 400
    assert client.send("PUT", "A=1", {}, None)[0] == 404
    connection = http.client.HTTPSConnection(
        client.host, context=ssl.create_default_context(cafile=str(client.ca)), timeout=300)
    connection.putrequest("GET", "/?A=1")
    for value in ("one", "two"):
        connection.putheader("x-acs-action", value)
    connection.putheader("Accept", "application/json")
    connection.endheaders()
    assert json.loads(connection.getresponse().read())["Code"] == "InvalidParameter"
    connection.close()


def test_time_stamps_may_be_15_minutes_off(client):
    def date(offset):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))
    assert information_of(client.acs3(date=date(-14 * 60)))
    assert information_of(client.acs3(date=date(14 * 60)))
    assert code_of(client.acs3(date=date(-16 * 60))) == "InvalidTimeStamp.Expired"
    assert code_of(client.acs3(date=date(16 * 60))) == "InvalidTimeStamp.Expired"


def test_a_nonce_serves_once(client):
    assert information_of(client.acs3(nonce="the-same"))
    assert code_of(client.acs3(nonce="the-same")) == "SignatureNonceUsed"

    def same(parameters):
        sent.append(dict(parameters))
    sent = []
    assert information_of(client.rpc(tamper=same))
    again = client.rpc(tamper=lambda parameters: parameters.update(sent[0]))
    assert code_of(again) == "SignatureNonceUsed"


@pytest.mark.parametrize("send", ["acs3", "rpc"])
def test_keys_and_tokens_are_checked(client, send):
    send = getattr(client, send)
    assert code_of(send(key=("LTAIunknown", "x"))) == "InvalidAccessKeyId.NotFound"
    assert code_of(send(key=(account.FULL_KEY[0], "wrong"))) == "SignatureDoesNotMatch"
    assert code_of(send(key=account.REFUSED_KEY)) == "Forbidden.RAM"
    assert information_of(send(key=account.STS_KEY, token=account.STS_TOKEN))
    assert code_of(send(key=account.STS_KEY)) == "MissingSecurityToken"
    assert code_of(send(key=account.STS_KEY, token="wrong")) == \
        "InvalidSecurityToken.MismatchWithAccessKey"
    assert code_of(send(key=account.FULL_KEY, token=account.STS_TOKEN)) == \
        "InvalidSecurityToken.MismatchWithAccessKey"
    assert code_of(send(key=account.EXPIRED_STS_KEY, token=account.EXPIRED_STS_TOKEN)) == \
        "InvalidSecurityToken.Expired"


@pytest.mark.parametrize("arguments, code", [
    ({"product": "a1Nowhere00"}, "iot.prod.NotExistedProduct"),
    ({"product": "not-a-key!"}, "iot.prod.InvalidFormattedProductkey"),
    ({"device": "nowhere"}, "iot.device.NotExistedDevice"),
    ({"device": "x"}, "iot.device.InvalidFormattedDeviceName"),
    ({"product": "a1Instance0"}, "iot.prod.NotExistedProduct"),
    ({"extra": {"IotInstanceId": "iot-unknown"}}, "iot.Sre.IotInstanceNotFound"),
    ({"product": "a1Secret000"}, "iot.device.NotX509Device"),
])
def test_what_does_not_exist_is_an_error_of_the_product(client, arguments, code):
    status, _, body = client.acs3(**arguments)
    answer = json.loads(body)
    assert (status, answer["Success"], answer["Code"]) == (200, False, code)
    assert answer["ErrorMessage"] and answer["RequestId"]


@pytest.mark.parametrize("arguments, code", [
    ({"product": None}, "MissingProductKey"), ({"device": None}, "MissingDeviceName"),
    ({"action": "DeleteDevice"}, "InvalidApi.NotFound"), ({"version": "2017-04-20"}, "InvalidVersion")])
def test_a_wrong_call_is_an_error_of_the_gateway(client, arguments, code):
    status, _, body = client.acs3(**arguments)
    answer = json.loads(body)
    assert (status // 100, answer["Code"]) == (4, code)
    assert {"RequestId", "HostId", "Message", "Recommend"} <= set(answer)


def error_of(result):
    status, headers, body = result
    answer = json.loads(body)
    assert answer["RequestId"] == headers["x-acs-request-id"]
    return status, answer


def test_errors_of_the_gateway_look_like_those_that_were_made_public(client, order):
    status, answer = error_of(client.acs3(key=account.REFUSED_KEY))
    assert (status, answer["Code"]) == (400, "Forbidden.RAM")
    assert answer["AccessDeniedDetail"]["AuthAction"] == "iot:QueryDeviceCert"
    assert answer["Recommend"] == ("https://api.aliyun.com/troubleshoot?q=Forbidden.RAM&product=Iot"
                                   f"&requestId={answer['RequestId']}")
    assert error_of(client.acs3(key=("LTAIunknown", "x")))[0] == 404
    assert error_of(client.acs3(date="2018-01-01T00:00:00Z"))[0] == 400
    order({"code": "InvalidAccessKeyId.NotFound"})
    status, answer = error_of(client.acs3())
    assert status == 404
    assert answer["Recommend"].endswith(f"&product=Iot&requestId={answer['RequestId']}")


def test_an_instance_must_be_named_for_its_products_and_no_others(client):
    instance = {"IotInstanceId": "iot-cn-0pp1n8t0001"}
    assert information_of(client.acs3(product="a1Instance0", extra=instance))
    assert code_of(client.acs3(extra=instance)) == "iot.prod.NotExistedProduct"


def test_no_period_of_a_second_has_more_calls_than_the_rate():
    now = [100.0]
    limited = account.Account(10, clock=lambda: now[0])
    assert [limited.admit() for _ in range(11)] == [True] * 10 + [False]
    now[0] += 0.5
    assert not limited.admit()
    now[0] += 0.5
    assert [limited.admit() for _ in range(11)] == [True] * 10 + [False]
    assert limited.throttled == 3


def test_a_call_beyond_the_rate_is_throttled(client):
    client.control("POST", "/rate", {"rate": 0, "retry_after": 700})
    result = client.acs3()
    assert (result[0], code_of(result)) == (400, "Throttling.User")
    assert result[1]["x-acs-retry-after"] == "700"
    assert client.control("GET", "/counts")["throttled"] == 1
    client.control("POST", "/rate", {"rate": 10})
    assert code_of(client.acs3()) is None


def test_a_device_in_generation_is_ready_after_some_questions(client):
    client.control("POST", f"/device/{PRODUCT}/device-1", {"generating": 2})
    assert [information_of(client.acs3())["Status"] for _ in range(3)] == [0, 0, 2]


def test_a_stand_in_with_the_same_keys_issues_the_same_certificates(client, tmp_path):
    for path in client.folder.glob("device-*"):
        shutil.copy(path, tmp_path)
    with running(tmp_path) as other:
        for product in (PRODUCT, "a1X509ec000", "a1X509chain"):
            assert information_of(other.acs3(product=product)) == \
                information_of(client.acs3(product=product))


def test_the_files_for_a_user_name_endpoint_and_key(client):
    settings = (client.folder / "aliyun-iot.conf").read_text()
    assert f"endpoint = {client.endpoint}\n" in settings
    assert f"ca-file = {client.ca}\n" in settings
    environment = (client.folder / "environment").read_text()
    assert f"ALIYUN_IOT_CONFIG='{client.folder}/aliyun-iot.conf'\n" in environment
    assert account.FULL_KEY[0] in environment and account.FULL_KEY[1] in environment


def test_a_certificate_can_be_renewed_and_a_device_deleted(client):
    before = information_of(client.acs3())["CertSN"]
    client.control("POST", f"/device/{PRODUCT}/device-1", {"reissue": True})
    assert information_of(client.acs3())["CertSN"] != before
    client.control("POST", f"/device/{PRODUCT}/device-1", {"delete": True})
    assert code_of(client.acs3()) == "iot.device.NotExistedDevice"


def test_the_clock_can_be_set(client):
    client.control("POST", "/clock", {"offset": 86400})
    result = client.acs3()
    assert code_of(result) == "InvalidTimeStamp.Expired"
    date = calendar.timegm(time.strptime(result[1]["Date"], "%a, %d %b %Y %H:%M:%S GMT"))
    assert abs(date - time.time() - 86400) < 60


def test_faults_happen_as_often_as_ordered(client):
    client.control("POST", "/faults", {"match": {"device": "device-1"}, "times": 1,
                                       "fault": {"code": "ServiceUnavailable", "status": 503}})
    assert information_of(client.acs3(device="device-2"))
    assert client.acs3()[0] == 503
    assert information_of(client.acs3())


def test_a_request_that_came_before_a_reset_is_not_listed_after_it(tmp_path):
    log = server.RequestLog(tmp_path / "requests")
    resets = log.resets
    log.add(resets, {"path": "/early"})
    log.reset()
    log.add(resets, {"path": "/slow"})
    log.add(log.resets, {"path": "/late"})
    log.file.close()
    assert log.requests == [{"path": "/late"}]
    assert "/slow" in (tmp_path / "requests").read_text()


@pytest.fixture
def order(client):
    def order(fault, times=1, **match):
        client.control("POST", "/faults", {"match": match, "times": times, "fault": fault})
    return order


def test_a_fault_is_for_the_requests_that_match_until_it_is_taken_back(client, order):
    order({"code": "iot.Ordered"}, times=None, action="QueryDeviceCert", device="device-1")
    assert [code_of(client.acs3()) for _ in range(3)] == ["iot.Ordered"] * 3
    assert information_of(client.acs3(device="device-2"))
    client.control("DELETE", "/faults")
    assert information_of(client.acs3())


def test_a_coded_fault_comes_in_either_envelope(client, order):
    order({"code": "Throttling.User", "retry_after": 50, "message": "slower"})
    status, headers, body = client.acs3()
    assert (status, headers["x-acs-retry-after"]) == (400, "50")
    assert (json.loads(body)["Code"], json.loads(body)["Message"]) == ("Throttling.User", "slower")
    order({"code": "iot.system.SystemException", "envelope": "product"})
    status, _, body = client.acs3()
    answer = json.loads(body)
    assert (status, answer["Success"], answer["Code"]) == (200, False, "iot.system.SystemException")
    assert "ErrorMessage" in answer
    order({"code": "ServiceUnavailable", "status": 503})
    status, _, body = client.acs3(accept="*/*")
    root = xml.etree.ElementTree.fromstring(body)
    assert (status, root.tag, root.findtext("Code")) == (503, "Error", "ServiceUnavailable")


def test_a_merge_changes_and_removes(client, order):
    order({"merge": {"DeviceCertInfo": {"Status": "2", "CertSN": None}, "New": [1]}})
    answer = json.loads(client.acs3()[2])
    assert answer["New"] == [1] and answer["Success"] is True
    assert answer["DeviceCertInfo"]["Status"] == "2" and "CertSN" not in answer["DeviceCertInfo"]
    assert answer["DeviceCertInfo"]["Certificate"]


@pytest.mark.parametrize("fault", [{"delay": 0.2}, {"drip": 0.002}])
def test_a_slow_answer_is_whole_all_the_same(client, order, fault):
    order(fault)
    begun = time.monotonic()
    assert code_of(client.acs3(device="nowhere")) == "iot.device.NotExistedDevice"
    assert time.monotonic() - begun >= 0.2


def test_an_answer_that_stalls_breaks_off_in_the_end(client, order):
    begun = time.monotonic()
    order({"stall_before_headers": 0.2})
    with pytest.raises((http.client.BadStatusLine, ConnectionError)):
        client.acs3()
    order({"stall_after_headers": 0.2})
    with pytest.raises(http.client.IncompleteRead) as broken:
        client.acs3()
    assert len(broken.value.partial) == 10
    assert time.monotonic() - begun >= 0.4


def test_a_connection_is_closed_or_cut(client, order):
    order({"close": True})
    with pytest.raises((http.client.BadStatusLine, ConnectionError)):
        client.acs3()
    order({"cut": True})
    with pytest.raises(http.client.IncompleteRead) as broken:
        client.acs3()
    assert abs(len(broken.value.partial) - broken.value.expected) <= 1


def test_a_truncated_answer_is_whole_for_http_and_not_for_json(client, order):
    order({"truncated": True})
    status, headers, body = client.acs3()
    assert status == 200 and len(body) == int(headers["Content-Length"])
    with pytest.raises(ValueError):
        json.loads(body)


def test_a_raw_answer_is_what_was_ordered(client, order):
    order({"raw": "<html>\udcff</html>", "status": 502, "type": "text/html"})
    status, headers, body = client.acs3()
    assert (status, headers["Content-Type"], body) == (502, "text/html", b"<html>\xff</html>")


def test_a_huge_answer_is_as_long_as_ordered(client, order):
    order({"huge": 1000000})
    _, headers, body = client.acs3()
    assert (headers["Content-Length"], len(body)) == ("1000000", 1000000)
    order({"huge_chunked": 1000000})
    with pytest.raises(http.client.IncompleteRead) as endless:
        client.acs3()
    assert len(endless.value.partial) == 1000000


def test_a_gzip_bomb_unpacks_to_as_much_as_ordered(client, order):
    order({"gzip_bomb": 1000000})
    _, headers, body = client.acs3()
    assert headers["Content-Encoding"] == "gzip"
    assert len(body) < 10000 and gzip.decompress(body) == b" " * 1000000


def test_a_deep_answer_is_as_deep_as_ordered(client, order):
    order({"depth": 50})
    body = client.acs3()[2]
    assert body == b'{"a":' + b"[" * 50 + b"]" * 50 + b"}"


def test_a_redirect_names_where_to(client, order):
    order({"redirect": "https://elsewhere.example/", "status": 307})
    status, headers, body = client.acs3()
    assert (status, headers["Location"], body) == (307, "https://elsewhere.example/", b"")


def test_many_headers_come_before_a_good_answer(client, order):
    order({"many_headers": 40})
    result = client.acs3()
    assert len([name for name in result[1] if name.startswith("X-Padding-")]) == 40
    assert information_of(result)


def test_a_long_header_comes_before_a_good_answer(client, order):
    order({"long_header": 40000})
    result = client.acs3()
    assert len(result[1]["X-Padding"]) == 40000
    assert information_of(result)


def test_unknown_control_calls_are_refused(client):
    for method, path in (("GET", "/nothing"), ("POST", "/nothing"), ("POST", "/rate")):
        with pytest.raises(urllib.error.HTTPError):
            client.control(method, path)


@pytest.mark.parametrize("wrong", [
    {"fault": {"clsoe": True}}, {"fault": {}}, {"fault": {"cut": True, "close": True}},
    {"fault": {"close": True, "status": 500}}, {"fault": {"close": True}, "match": {"path": "/"}},
    {"fault": "close"}, {}], ids=str)
def test_a_fault_that_the_stand_in_does_not_know_is_an_error(client, wrong):
    with pytest.raises(urllib.error.HTTPError) as refused:
        client.control("POST", "/faults", wrong)
    assert refused.value.code == 400
    assert information_of(client.acs3())


def test_requests_are_logged_without_secrets(client):
    client.acs3()
    entry, = client.control("GET", "/requests")
    assert entry["action"] == "QueryDeviceCert"
    assert (entry["product"], entry["device"]) == (PRODUCT, "device-1")
    assert entry["access_key_id"] == account.FULL_KEY[0]
    text = (client.folder / "requests.jsonl").read_text()
    assert account.FULL_KEY[1] not in text
    assert "PRIVATE KEY" not in text


def test_private_keys_lie_in_private_files(client):
    for name in ("server.key", "device-ca.key", "device-keys.pem"):
        assert (client.folder / name).stat().st_mode & 0o077 == 0
