# SPDX-License-Identifier: Apache-2.0
"""The OAuth service as which the aliyun command line logs in: POST /v1/token and /v1/exchange."""
import calendar
import re
import secrets
import threading
import time
import uuid

# A site of Alibaba Cloud is a host name, and has a public client of its own.
CLIENTS = {"oauth.aliyun.com": "4038181954557748008",
           "oauth.alibabacloud.com": "4103531455503354461"}
HOSTS = {"CN": "oauth.aliyun.com", "INTL": "oauth.alibabacloud.com"}

# As after a login. They open nothing but this stand-in.
REFRESH_TOKENS = {"CN": "StandInRefreshTokenCn+/=000001", "INTL": "StandInRefreshTokenIntl0000001"}
ACCESS_TOKENS = {"CN": "StandInAccessTokenCn.00-000001", "INTL": "StandInAccessTokenIntl00000001"}

WINDOW = 15 * 60  # seconds
LIFETIME = 3600   # seconds


class OAuthError(Exception):
    """RFC 6749, section 5.2. The description quotes what was sent, as a careless server would."""

    def __init__(self, status, code, description):
        super().__init__(code)
        self.status, self.code, self.description = status, code, description


class OAuth:
    """Thread-safe. A refresh token can be used once."""

    def __init__(self, gateway, sts):
        self.gateway = gateway
        self.sts = sts
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        with self.lock:
            self.refresh_tokens = {token: HOSTS[site] for site, token in REFRESH_TOKENS.items()}
            self.access_tokens = {token: (HOSTS[site], self.gateway.now() + LIFETIME)
                                  for site, token in ACCESS_TOKENS.items()}

    def serves(self, request):
        return request.headers.get("host") in CLIENTS

    def answer(self, request):
        """As Gateway.answer()."""
        request.wants_json = True
        request_id = str(uuid.uuid4()).upper()
        request.log.update(request_id=request_id, host=request.headers["host"])
        try:
            if request.method != "POST" or request.query or request.repeated:
                raise OAuthError(400, "invalid_request", "It is no plain POST.")
            if request.path == "/v1/token":
                request.log["action"] = "OAuthToken"
                body = self.refresh(request)
            elif request.path == "/v1/exchange":
                request.log["action"] = "OAuthExchange"
                body = self.exchange(request)
            else:
                raise OAuthError(404, "not_found", "There is no such path.")
            return 200, [], {**body, "requestId": request_id}, "Response"
        except OAuthError as error:
            request.log["code"] = error.code
            return (error.status, [], {"error": error.code, "requestId": request_id,
                                       "error_description": error.description}, "Error")

    def check_time(self, stamp):
        """The official libraries send one, the command line does not."""
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp):
            raise OAuthError(400, "invalid_request", f"Timestamp {stamp} is malformed.")
        then = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
        if abs(then - self.gateway.now()) > WINDOW:
            raise OAuthError(400, "invalid_request", f"Timestamp {stamp} is too far away.")

    def refresh(self, request):
        host = request.headers["host"]
        given = dict(request.form)
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise OAuthError(400, "invalid_request", "The content type is wrong.")
        if "authorization" in request.headers or len(given) != len(request.form):
            raise OAuthError(400, "invalid_request", "A parameter is repeated, or not wanted.")
        if given.get("grant_type") != "refresh_token":
            raise OAuthError(400, "unsupported_grant_type", "Only refresh_token is supported.")
        if given.get("client_id") != CLIENTS[host]:
            raise OAuthError(401, "invalid_client", f"Unknown client {given.get('client_id')}.")
        if "Timestamp" in given:
            self.check_time(given["Timestamp"])
        token = given.get("refresh_token", "")
        with self.lock:
            if self.refresh_tokens.get(token) != host:
                raise OAuthError(400, "invalid_grant", f"Refresh token {token} was used before.")
            del self.refresh_tokens[token]
            new_refresh, new_access = (secrets.token_urlsafe(48) for _ in range(2))
            self.refresh_tokens[new_refresh] = host
            self.access_tokens[new_access] = (host, self.gateway.now() + LIFETIME)
        return {"access_token": new_access, "refresh_token": new_refresh, "expires_in": LIFETIME,
                "token_type": "Bearer"}

    def exchange(self, request):
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if request.headers.get("content-type") != "application/json" or request.body:
            raise OAuthError(400, "invalid_request", "The body or its content type is wrong.")
        with self.lock:
            host, expires = self.access_tokens.get(token, (None, 0))
        if kind != "Bearer" or host != request.headers["host"]:
            raise OAuthError(401, "invalid_token", f"The access token {token} is invalid.")
        if expires <= self.gateway.now():
            raise OAuthError(400, "expired_token", "The access token is expired.")
        key = self.sts.issue(self.gateway, LIFETIME)
        return {name[0].lower() + name[1:]: value for name, value in key.items()}
