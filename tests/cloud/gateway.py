# SPDX-License-Identifier: Apache-2.0
"""The gateway: from an HTTP request to an answer or an error, as strict as the documents are."""
import calendar
import hashlib
import json
import re
import time
import urllib.parse
import uuid
from xml.sax.saxutils import escape

import signature
from devices import PRODUCTS

WINDOW = 15 * 60  # seconds that a time stamp may be off
VERSION = "2018-01-20"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DEVICE_NAME = re.compile(r"[A-Za-z0-9_@.:-]{4,32}")
PRODUCT_KEY = re.compile(r"[A-Za-z0-9]{1,64}")
# HTTP status of the gateway's errors that are not 400, from answers that were made public.
STATUS = {"InvalidAccessKeyId.NotFound": 404, "InvalidApi.NotFound": 404, "NoPermission": 403,
          "InternalError": 500, "ServiceUnavailable": 503}
REQUIRED_HEADERS = ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
                    "x-acs-content-sha256")


class GatewayError(Exception):
    """HTTP 4xx or 5xx in the gateway's envelope, which has the fields in more too."""

    def __init__(self, status, code, message, headers=(), more=None):
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers
        self.more = more or {}


class ProductError(Exception):
    """HTTP 200, Success false, in the envelope of the IoT Platform."""

    def __init__(self, code, message):
        super().__init__(code)
        self.code, self.message = code, message


class Request:
    """What the HTTP server read. headers: a list of (lower-case name, value)."""

    def __init__(self, method, target, headers, body):
        self.method = method
        parts = urllib.parse.urlsplit(target)
        self.path = parts.path or "/"
        self.headers = dict(headers)
        self.repeated = len(self.headers) != len(headers)
        self.body = body
        self.query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True,
                                            strict_parsing=bool(parts.query))
        self.form = []
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            self.form = urllib.parse.parse_qsl(body.decode("ascii", "replace"),
                                               keep_blank_values=True)
        # Only this header tells the signatures apart: Alibaba Cloud's clients of the first
        # generation send x-acs-action and x-acs-version with an RPC signature.
        self.is_acs3 = "authorization" in self.headers
        self.parameters = dict(self.query + self.form)
        self.wants_json = (self.parameters.get("Format", "").upper() == "JSON" or
                           "application/json" in self.headers.get("accept", ""))
        if "Format" in self.parameters:
            self.wants_json = self.parameters["Format"].upper() == "JSON"
        self.log = {}

    def common(self, header, parameter):
        return self.headers.get(header) if self.is_acs3 else self.parameters.get(parameter)


class Gateway:
    def __init__(self, account, devices, sts=None):
        self.account = account
        self.devices = devices
        self.sts = sts
        self.clock_offset = 0
        self.retry_after = None

    def now(self):
        return time.time() + self.clock_offset

    # Who asks

    def check_time(self, stamp):
        if not stamp:
            raise GatewayError(400, "MissingTimestamp", "Timestamp is mandatory for this action.")
        try:
            then = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
        except ValueError:
            then = None
        if then is None or not DATE.fullmatch(stamp):
            raise GatewayError(400, "InvalidTimeStamp.Format",
                               "Specified time stamp or date value is not well formatted.")
        if abs(then - self.now()) > WINDOW:
            raise GatewayError(400, "InvalidTimeStamp.Expired",
                               "Specified time stamp or date value is expired.")

    def check_nonce(self, nonce):
        if not nonce:
            raise GatewayError(400, "MissingSignatureNonce",
                               "SignatureNonce is mandatory for this action.")
        if not self.account.use_nonce(nonce):
            raise GatewayError(400, "SignatureNonceUsed",
                               "Specified signature nonce was used already.")

    def find_key(self, key_id, token):
        if not key_id:
            raise GatewayError(400, "MissingAccessKeyId",
                               "AccessKeyId is mandatory for this action.")
        key = self.account.keys.get(key_id)
        if not key:
            raise GatewayError(404, "InvalidAccessKeyId.NotFound",
                               "Specified access key is not found.")
        if key.token and not token:
            raise GatewayError(400, "MissingSecurityToken",
                               "SecurityToken is mandatory for this action.")
        if token and token != key.token:
            raise GatewayError(400, "InvalidSecurityToken.MismatchWithAccessKey",
                               "Specified SecurityToken mismatch with the AccessKey.")
        if key.expires is not None and key.expires < self.now():
            raise GatewayError(400, "InvalidSecurityToken.Expired",
                               "Specified SecurityToken is expired.")
        return key

    def check_acs3(self, request):
        headers = request.headers
        for name in REQUIRED_HEADERS:
            if not headers.get(name):
                raise GatewayError(400, "Missing" + name[6:].title().replace("-", ""),
                                   f"{name} is mandatory for this action.")
        parsed = signature.parse_acs3_authorization(headers.get("authorization", ""))
        if not parsed:
            raise GatewayError(400, "IncompleteSignature", "The Authorization is malformed.")
        key_id, names, given = parsed
        request.log["access_key_id"] = key_id
        must_sign = {"host"} | {name for name in headers if name.startswith("x-acs-")}
        if "content-type" in headers:
            must_sign.add("content-type")
        if names != sorted(names) or not must_sign <= set(names) or not set(names) <= set(headers):
            raise GatewayError(400, "IncompleteSignature",
                               "SignedHeaders must be sorted and hold host, content-type and x-acs-*.")
        if headers["x-acs-content-sha256"] != hashlib.sha256(request.body).hexdigest():
            raise GatewayError(400, "InvalidContentSha256", "x-acs-content-sha256 is wrong.")
        token = headers.get("x-acs-security-token")
        if token and headers.get("x-acs-accesskey-id") != key_id:
            raise GatewayError(400, "IncompleteSignature", "x-acs-accesskey-id is missing.")
        self.check_time(headers["x-acs-date"])
        key = self.find_key(key_id, token)
        canonical = signature.acs3_canonical_request(
            request.method, request.path, request.query, headers, names,
            headers["x-acs-content-sha256"])
        to_sign = signature.acs3_string_to_sign(canonical)
        if not signature.equal(given, signature.acs3_signature(to_sign, key.secret)):
            raise GatewayError(400, "SignatureDoesNotMatch",
                               "Specified signature does not match our calculation. server "
                               f"StringToSign is [{to_sign}] server CanonicalRequest is "
                               f"[{canonical}]")
        self.check_nonce(headers["x-acs-signature-nonce"])
        return key

    def check_rpc(self, request):
        parameters = request.query + request.form
        given = request.parameters
        request.log["access_key_id"] = given.get("AccessKeyId")
        for name in ("SignatureMethod", "SignatureVersion", "Signature"):
            if not given.get(name):
                raise GatewayError(400, f"Missing{name}", f"{name} is mandatory for this action.")
        if given["SignatureMethod"] != "HMAC-SHA1" or given["SignatureVersion"] != "1.0":
            raise GatewayError(400, "IncompleteSignature", "Unknown SignatureMethod or -Version.")
        self.check_time(given.get("Timestamp"))
        key = self.find_key(given.get("AccessKeyId"), given.get("SecurityToken"))
        to_sign = signature.rpc_string_to_sign(request.method, parameters)
        if not signature.equal(given["Signature"], signature.rpc_signature(to_sign, key.secret)):
            raise GatewayError(400, "SignatureDoesNotMatch",
                               "Specified signature is not matched with our calculation. "
                               f"server string to sign is:{to_sign}")
        self.check_nonce(given.get("SignatureNonce"))
        return key

    def authenticate(self, request):
        if request.repeated:
            raise GatewayError(400, "InvalidParameter", "A header is repeated.")
        names = [name for name, _ in request.query + request.form]
        if len(names) != len(set(names)):
            raise GatewayError(400, "InvalidParameter", "A parameter is repeated.")
        request.log["signature"] = "acs3" if request.is_acs3 else "rpc"
        return self.check_acs3(request) if request.is_acs3 else self.check_rpc(request)

    # What is asked

    def query_device_cert(self, request, key):
        if not self.account.admit():
            headers = [("x-acs-retry-after", self.retry_after)] if self.retry_after else []
            raise GatewayError(400, "Throttling.User", "Request was denied due to user flow control.",
                               headers)
        if not key.permitted:
            raise GatewayError(400, "Forbidden.RAM",
                               "User not authorized to operate on the specified resource, or this "
                               "API doesn't support RAM.",
                               more={"AccessDeniedDetail": {
                                   "AuthAction": "iot:QueryDeviceCert",
                                   "AuthPrincipalType": "SubUser",
                                   "AuthPrincipalDisplayName": "212345678901234567",
                                   "AuthPrincipalOwnerId": "1234567890123456",
                                   "PolicyType": "AccountLevelIdentityBasedPolicy",
                                   "NoPermissionType": "ImplicitDeny",
                                   "EncodedDiagnosticMessage": "AQEAAAAAStandIn"}})
        given = request.parameters
        product, device = given.get("ProductKey"), given.get("DeviceName")
        instance = given.get("IotInstanceId")
        if not product:
            raise GatewayError(400, "MissingProductKey", "ProductKey is mandatory for this action.")
        if not device:
            raise GatewayError(400, "MissingDeviceName", "DeviceName is mandatory for this action.")
        if not PRODUCT_KEY.fullmatch(product):
            raise ProductError("iot.prod.InvalidFormattedProductkey", "product key is malformed")
        description, exists = self.devices.find(product, device)
        known_instances = {entry.get("instance") for entry in PRODUCTS.values()}
        if instance is not None and instance not in known_instances:
            raise ProductError("iot.Sre.IotInstanceNotFound", "the instance does not exist")
        if not description or description.get("instance") != instance:
            raise ProductError("iot.prod.NotExistedProduct", "the product does not exist")
        if not DEVICE_NAME.fullmatch(device):
            raise ProductError("iot.device.InvalidFormattedDeviceName", "device name is malformed")
        if not exists:
            raise ProductError("iot.device.NotExistedDevice", "the device does not exist")
        if description.get("authentication") == "secret":
            # Which code the service gives here is not documented: inferred.
            raise ProductError("iot.device.NotX509Device",
                               "the product's authentication is not X.509")
        return {"Success": True, "DeviceCertInfo": self.devices.information(product, device)}

    def answer(self, request):
        """(HTTP status, headers, dictionary, name of the XML root) for a request."""
        action = request.common("x-acs-action", "Action")
        version = request.common("x-acs-version", "Version")
        request.log.update(action=action, product=request.parameters.get("ProductKey"),
                           device=request.parameters.get("DeviceName"),
                           instance=request.parameters.get("IotInstanceId"))
        request_id = str(uuid.uuid4()).upper()
        request.log["request_id"] = request_id
        try:
            if request.method not in ("GET", "POST") or request.path != "/":
                raise GatewayError(404, "InvalidApi.NotFound", "Specified api is not found.")
            if self.sts and self.sts.serves(action, version):
                return (200, [], {"RequestId": request_id,
                                  **self.sts.answer(self, request, action)}, f"{action}Response")
            key = self.authenticate(request)
            if action != "QueryDeviceCert":
                raise GatewayError(404, "InvalidApi.NotFound", "Specified api is not found.")
            if version != VERSION:
                raise GatewayError(400, "InvalidVersion", "Specified parameter Version is invalid.")
            body = self.query_device_cert(request, key)
            return 200, [], {"RequestId": request_id, **body}, "QueryDeviceCertResponse"
        except ProductError as error:
            request.log["code"] = error.code
            return (200, [], product_error(request, error.code, error.message),
                    "QueryDeviceCertResponse")
        except GatewayError as error:
            request.log["code"] = error.code
            return (error.status, list(error.headers),
                    gateway_error(request, error.code, error.message, error.more), "Error")


def product_error(request, code, message):
    return {"RequestId": request.log["request_id"], "Success": False, "Code": code,
            "ErrorMessage": message}


def gateway_error(request, code, message, more=None):
    request_id = request.log["request_id"]
    query = urllib.parse.urlencode({"q": code, "product": "Iot", "requestId": request_id})
    return {"RequestId": request_id, "HostId": request.headers.get("host", ""), "Code": code,
            "Message": message, "Recommend": f"https://api.aliyun.com/troubleshoot?{query}",
            **(more or {})}


def encode(dictionary, root, as_json):
    """(content type, bytes)."""
    if as_json:
        return "application/json;charset=utf-8", json.dumps(dictionary).encode()
    return "text/xml;charset=utf-8", (
        "<?xml version='1.0' encoding='UTF-8'?>" + to_xml(root, dictionary)).encode()


def to_xml(name, value):
    if isinstance(value, dict):
        inner = "".join(to_xml(child, content) for child, content in value.items())
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"
