# SPDX-License-Identifier: Apache-2.0
"""The stand-in's login services: tokens that can be used once, and requests in the right form."""
import json
import pathlib
import sys
import time
import urllib.parse

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import account  # noqa: E402
import cloud_sso  # noqa: E402
import oauth  # noqa: E402
from gateway import Gateway, Request  # noqa: E402
from sts import Sts  # noqa: E402

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def gateway():
    keys = account.Account(10)
    return Gateway(keys, None, Sts(keys))


@pytest.fixture
def service(gateway):
    return oauth.OAuth(gateway, gateway.sts)


def post(service, path, body="", **headers):
    """(HTTP status, answer) for a POST with these headers; those of None are left out."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items() if value]
    request = Request("POST", path, named, body.encode())
    assert service.serves(request)
    status, _, answer, _ = service.answer(request)
    assert request.wants_json
    return status, answer


def refresh(service, site="CN", content_type=FORM, **changes):
    form = {"grant_type": "refresh_token", "refresh_token": oauth.REFRESH_TOKENS[site],
            "client_id": oauth.CLIENTS[oauth.HOSTS[site]], **changes}
    return post(service, "/v1/token", urllib.parse.urlencode(form), host=oauth.HOSTS[site],
                content_type=content_type)


def exchange(service, token, host=oauth.HOSTS["CN"], content_type="application/json", body=""):
    return post(service, "/v1/exchange", body, host=host, content_type=content_type,
                authorization=f"Bearer {token}")


def test_a_refresh_token_works_once_and_its_successor_works(service):
    status, first = refresh(service)
    assert status == 200 and first["expires_in"] == 3600 and first["token_type"] == "Bearer"
    status, second = refresh(service)
    assert status == 400 and second["error"] == "invalid_grant"
    assert refresh(service, refresh_token=first["refresh_token"])[0] == 200
    assert exchange(service, first["access_token"])[0] == 200


@pytest.mark.parametrize("changes, code", [
    ({"client_id": oauth.CLIENTS[oauth.HOSTS["INTL"]]}, "invalid_client"),
    ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
    ({"refresh_token": oauth.REFRESH_TOKENS["INTL"]}, "invalid_grant"),
    ({"content_type": "application/json"}, "invalid_request"),
    ({"Timestamp": "now"}, "invalid_request"),
    ({"Timestamp": "2020-01-01T00:00:00Z"}, "invalid_request")])
def test_a_wrong_refresh_is_refused_and_costs_no_token(service, changes, code):
    status, answer = refresh(service, **changes)
    assert status in (400, 401) and answer["error"] == code
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert refresh(service, Timestamp=stamp)[0] == 200


def test_an_access_token_gives_a_key_that_the_gateway_knows(service, gateway):
    status, answer = exchange(service, oauth.ACCESS_TOKENS["CN"])
    assert status == 200
    assert gateway.find_key(answer["accessKeyId"], answer["securityToken"]).secret == \
        answer["accessKeySecret"]
    gateway.clock_offset = 3601
    assert exchange(service, oauth.ACCESS_TOKENS["CN"])[1]["error"] == "expired_token"


@pytest.mark.parametrize("changes", [
    {"token": "unknown"}, {"host": oauth.HOSTS["INTL"]}, {"content_type": FORM}, {"body": "{}"}])
def test_a_wrong_exchange_is_refused(service, changes):
    status, answer = exchange(service, **{"token": oauth.ACCESS_TOKENS["CN"], **changes})
    assert status in (400, 401) and answer["error"] in ("invalid_token", "invalid_request")


CLOUD_SSO_BODY = {"AccountId": cloud_sso.ACCOUNT_ID,
                  "AccessConfigurationId": cloud_sso.ACCESS_CONFIGURATION}


@pytest.mark.parametrize("changes, status", [
    ({}, 200), ({"authorization": "Bearer wrong"}, 401), ({"content_type": FORM}, 400),
    ({"accept": None}, 400), ({"body": "no JSON"}, 400),
    ({"body": json.dumps({**CLOUD_SSO_BODY, "AccountId": "1"})}, 403)])
def test_cloud_sso_answers_to_the_right_request_alone(gateway, changes, status):
    service = cloud_sso.CloudSso(gateway, gateway.sts)
    request = {"body": json.dumps(CLOUD_SSO_BODY), "content_type": "application/json",
               "accept": "application/json",
               "authorization": f"Bearer {cloud_sso.ACCESS_TOKEN}", **changes}
    answered, answer = post(service, "/cloud-credentials", **request)
    assert answered == status
    assert ("CloudCredential" in answer) == (status == 200)
