# SPDX-License-Identifier: Apache-2.0
"""The two signatures of Alibaba Cloud's RPC-style OpenAPI, checked from the request as it came.

Written from Alibaba Cloud's documents and from tests/signature-vectors.json alone.
"""
import base64
import hashlib
import hmac
import urllib.parse


def percent_encode(text):
    return urllib.parse.quote(text, safe="-_.~")


def canonical_query(parameters):
    """parameters: (name, value) pairs, decoded."""
    ordered = sorted((name.encode(), value.encode()) for name, value in parameters)
    return "&".join(f"{percent_encode(name)}={percent_encode(value)}"
                    for name, value in ((n.decode(), v.decode()) for n, v in ordered))


def rpc_string_to_sign(method, parameters):
    query = canonical_query((name, value) for name, value in parameters if name != "Signature")
    return f"{method}&{percent_encode('/')}&{percent_encode(query)}"


def rpc_signature(string_to_sign, secret):
    digest = hmac.new(f"{secret}&".encode(), string_to_sign.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def acs3_canonical_request(method, path, parameters, headers, signed_names, body_digest):
    """headers: a dictionary by lower-case name; signed_names: in the order of SignedHeaders."""
    lines = [method, path, canonical_query(parameters)]
    lines += [f"{name}:{headers[name].strip()}" for name in signed_names]
    return "\n".join(lines + ["", ";".join(signed_names), body_digest])


def acs3_string_to_sign(canonical_request):
    return "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical_request.encode()).hexdigest()


def acs3_signature(string_to_sign, secret):
    return hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


def parse_acs3_authorization(header):
    """'ACS3-HMAC-SHA256 Credential=..,SignedHeaders=..,Signature=..' to its three parts, or None."""
    scheme, _, rest = header.partition(" ")
    pieces = rest.split(",")
    parts = dict(piece.partition("=")[::2] for piece in pieces)
    if (scheme != "ACS3-HMAC-SHA256" or len(pieces) != len(parts) or
            set(parts) != {"Credential", "SignedHeaders", "Signature"}):
        return None
    return parts["Credential"], parts["SignedHeaders"].split(";"), parts["Signature"]


def equal(left, right):
    return hmac.compare_digest(left.encode(), right.encode())
