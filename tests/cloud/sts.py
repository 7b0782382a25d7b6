# SPDX-License-Identifier: Apache-2.0
"""STS, version 2015-04-01: AssumeRole and AssumeRoleWithOIDC."""
import re
import secrets
import time

from gateway import GatewayError

VERSION = "2015-04-01"
ACCOUNT = "1234567890123456"
ROLES = {f"acs:ram::{ACCOUNT}:role/harness", f"acs:ram::{ACCOUNT}:role/second"}
OIDC_PROVIDER = f"acs:ram::{ACCOUNT}:oidc-provider/stand-in"
OIDC_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdGFuZC1pbiJ9.c2lnbmF0dXJl"
SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")


class Sts:
    def __init__(self, account):
        self.account = account
        self.lifetime = None  # seconds, of a test's choice

    def serves(self, action, version):
        return version == VERSION and action in ("AssumeRole", "AssumeRoleWithOIDC")

    def answer(self, gateway, request, action):
        given = request.parameters
        if action == "AssumeRole":
            gateway.authenticate(request)
        else:
            self.check_token(gateway, given)
        if given.get("RoleArn") not in ROLES:
            raise GatewayError(404, "EntityNotExist.Role", "The role does not exist.")
        if not SESSION_NAME.fullmatch(given.get("RoleSessionName", "")):
            raise GatewayError(400, "InvalidParameter.RoleSessionName",
                               "The parameter RoleSessionName is wrongly formed.")
        duration = given.get("DurationSeconds", "3600")
        if not duration.isdigit() or not 900 <= int(duration) <= 43200:
            raise GatewayError(400, "InvalidParameter.DurationSeconds",
                               "The Min/Max value of DurationSeconds is 15min/12h.")
        return {"Credentials": self.issue(gateway, int(duration)),
                "AssumedRoleUser": {"Arn": given["RoleArn"], "AssumedRoleId": "1:session"}}

    @staticmethod
    def check_token(gateway, given):
        if given.get("OIDCProviderArn") != OIDC_PROVIDER:
            raise GatewayError(404, "EntityNotExist.OIDCProvider", "No such OIDC provider.")
        if given.get("OIDCToken") != OIDC_TOKEN:
            raise GatewayError(400, "AuthenticationFail.OIDCToken.Invalid", "Invalid OIDC token.")
        if "Signature" in given:
            raise GatewayError(400, "InvalidParameter", "This call is not signed.")
        gateway.check_time(given.get("Timestamp"))

    def issue(self, gateway, duration):
        """Temporary credentials that the gateway takes until they expire."""
        expires = int(gateway.now()) + (self.lifetime or duration)
        key = {"AccessKeyId": f"STS.{secrets.token_hex(10)}",
               "AccessKeySecret": secrets.token_hex(20),
               "SecurityToken": "CAIS" + secrets.token_urlsafe(60),
               "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))}
        self.account.add_temporary_key(key["AccessKeyId"], key["AccessKeySecret"],
                                       key["SecurityToken"], expires)
        return key
