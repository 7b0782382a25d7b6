# SPDX-License-Identifier: Apache-2.0
"""CloudSSO: POST /cloud-credentials on the host of the sign-in URL."""
import json
import uuid

ACCOUNT_ID = "1234567890123456"
ACCESS_CONFIGURATION = "ac-standin0000000001"
ACCESS_TOKEN = "StandInCloudSsoAccessToken.0001"
EXPIRED_ACCESS_TOKEN = "StandInCloudSsoExpiredToken0001"

LIFETIME = 3600  # seconds


class CloudSsoError(Exception):
    def __init__(self, status, code, message):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class CloudSso:
    def __init__(self, gateway, sts):
        self.gateway = gateway
        self.sts = sts

    def serves(self, request):
        return request.path == "/cloud-credentials"

    def answer(self, request):
        """As Gateway.answer()."""
        request.wants_json = True
        request_id = str(uuid.uuid4()).upper()
        request.log.update(request_id=request_id, action="CloudCredentials")
        try:
            self.check(request)
            return 200, [], {"CloudCredential": self.sts.issue(self.gateway, LIFETIME),
                             "RequestId": request_id}, "Response"
        except CloudSsoError as error:
            request.log["code"] = error.code
            return (error.status, [], {"ErrorCode": error.code, "ErrorMessage": error.message,
                                       "RequestId": request_id}, "Error")

    @staticmethod
    def check(request):
        headers = request.headers
        if request.method != "POST" or request.query or request.repeated:
            raise CloudSsoError(400, "InvalidParameter", "It is no plain POST.")
        if headers.get("content-type") != "application/json" or \
                headers.get("accept") != "application/json":
            raise CloudSsoError(400, "InvalidParameter", "A content type is wrong.")
        if headers.get("authorization") != f"Bearer {ACCESS_TOKEN}":
            raise CloudSsoError(401, "InvalidAccessToken",
                                f"{headers.get('authorization')} is invalid or expired.")
        try:
            body = json.loads(request.body)
        except ValueError:
            raise CloudSsoError(400, "InvalidParameter", "The body is not JSON.") from None
        if body != {"AccountId": ACCOUNT_ID, "AccessConfigurationId": ACCESS_CONFIGURATION}:
            raise CloudSsoError(403, "NoPermission", "No such account or access configuration.")
