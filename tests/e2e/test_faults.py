# SPDX-License-Identifier: Apache-2.0
"""A hostile or broken cloud: each fault has an outcome, and comes to an end."""
import json
import re

import pytest

from machine import COMMAND, free_port

URI = "aliyun-iot://a1X509rsa00/device-1"
HOURS = 10000  # seconds: longer than a test may take


@pytest.fixture
def patient(machine):
    """Has time for each answer that comes at all."""
    machine.write_settings("timeout = 5m", quota="rate = 100")
    return machine


def show(machine, uri=URI):
    """(exit status, the one line on standard error)"""
    done = machine.run(COMMAND, "show", uri)
    lines = done.stderr.splitlines()
    assert len(lines) == (0 if done.returncode == 0 else 1), done.stderr
    return done.returncode, lines[0] if lines else ""


FAULTS = {
    # name: (fault, a phrase of the error)
    # In words of libcurl's, which differ from version to version.
    "a body that is cut off": ({"cut": True}, "https://127.0.0.1"),
    "a connection closed without a word": ({"close": True}, "https://127.0.0.1"),
    "truncated JSON": ({"truncated": True}, "not JSON"),
    "an empty body": ({"raw": ""}, "is empty"),
    "HTML": ({"raw": "<html>It works!</html>", "type": "text/html"}, "not JSON"),
    "a JSON array": ({"raw": "[1]"}, "not a JSON object"),
    "a repeated key": ({"raw": '{"Success":true,"Success":true}'}, "repeated"),
    "JSON 10,000 deep": ({"depth": 10000}, "nested too deep"),
    "a NUL": ({"raw": '{"RequestId":"a\\u0000b"}'}, "NUL"),
    "no UTF-8": ({"raw": '{"RequestId":"\udcff"}'}, "UTF-8"),
    "a gigabyte": ({"huge": 1 << 30}, "256 KiB"),
    "a gigabyte in chunks": ({"huge_chunked": 1 << 30}, "256 KiB"),
    "a compressed bomb": ({"gzip_bomb": 50 << 20}, "unusable"),
    "a thousand headers": ({"many_headers": 1000}, "headers of the answer are larger than 64 KiB"),
    "a header of a megabyte": ({"long_header": 1 << 20}, "a header of the answer is too long"),
    "a redirect to a file": ({"redirect": "file:///etc/passwd"}, "never followed"),
    "a redirect to http": ({"redirect": "http://127.0.0.1:1/", "status": 307}, "never followed"),
    "a redirect elsewhere": ({"redirect": "https://example.com/", "status": 301}, "never followed"),
    "Success as a string": ({"merge": {"Success": "true"}}, "neither true nor false"),
    "no Success": ({"merge": {"Success": None}}, "whether it is a success"),
    "Success without DeviceCertInfo": ({"merge": {"DeviceCertInfo": None}}, "no DeviceCertInfo"),
    "DeviceCertInfo of a wrong type": ({"merge": {"DeviceCertInfo": 3}}, "not an object"),
    "Status as a string": ({"merge": {"DeviceCertInfo": {"Status": "2"}}}, "not a number"),
    "an undocumented Status": ({"merge": {"DeviceCertInfo": {"Status": 3}}}, "not documented"),
    "no key": ({"merge": {"DeviceCertInfo": {"PrivateKey": None}}}, "no PrivateKey"),
    "a key of a wrong type": ({"merge": {"DeviceCertInfo": {"PrivateKey": 1}}}, "wrong type"),
    "an error without a Code": ({"merge": {"Success": False}}, "without a Code"),
    "an unknown Code": ({"code": "iot.new.Riddle", "envelope": "product"}, "iot.new.Riddle"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_error(patient, cloud, name):
    fault, phrase = FAULTS[name]
    cloud.fault(fault)
    status, line = show(patient)
    assert status == 1
    assert phrase in line
    assert "a1X509rsa00/device-1" in line


@pytest.mark.parametrize("fault", [
    {"drip": 1}, {"stall_after_headers": HOURS}, {"stall_before_headers": HOURS}], ids=str)
def test_an_answer_that_does_not_end_is_an_error_after_the_timeout(machine, cloud, fault):
    machine.write_settings("timeout = 2s", quota="rate = 100")
    cloud.fault(fault)
    status, line = show(machine)
    assert status == 1
    assert "timeout" in line
    assert "a1X509rsa00/device-1" in line


def test_a_pair_of_two_devices_is_refused(patient, cloud):
    other = cloud.control("GET", "/device/a1X509rsa00/device-2")
    cloud.fault({"merge": {"DeviceCertInfo": {"PrivateKey": other["key"]}}})
    ours = cloud.control("GET", "/device/a1X509rsa00/device-1")
    if ours["key"] == other["key"]:
        pytest.skip("both devices were dealt the same key")
    status, line = show(patient)
    assert status == 1
    assert "does not belong" in line


@pytest.mark.parametrize("fault", [
    {"code": "Throttling.Api", "retry_after": 20},
    {"code": "ServiceUnavailable", "status": 503},
    {"code": "InternalError", "status": 500},
    {"code": "iot.system.SystemException", "envelope": "product"},
    {"raw": "<html>bad gateway</html>", "status": 502, "type": "text/html"},
    {"close": True},
    {"cut": True},
], ids=str)
def test_a_passing_fault_is_overcome(machine, cloud, fault):
    machine.write_settings("timeout = 5m", quota="rate = 100")
    cloud.fault(fault, times=2)
    assert show(machine) == (0, "")
    assert len(cloud.calls()) == 3


@pytest.mark.parametrize("code", [
    "SignatureDoesNotMatch", "IncompleteSignature", "InvalidAccessKeyId.NotFound",
    "MissingSecurityToken", "Forbidden.RAM", "NoPermission", "InvalidApi.NotFound",
    "iot.prod.NotExistedProduct", "iot.device.NotExistedDevice", "iot.some.UnknownCode"])
def test_a_final_error_is_not_tried_again(patient, cloud, code):
    cloud.fault({"code": code})
    status, line = show(patient)
    assert status == 1
    assert code in line
    assert len(cloud.calls()) == 1


def test_every_try_has_a_nonce_of_its_own(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 100")
    cloud.fault({"code": "SignatureNonceUsed"}, times=2)
    # The stand-in refuses a nonce that it has seen, so the third try would fail too.
    assert show(machine) == (0, "")


@pytest.mark.parametrize("offset", [86400, -86400], ids=["slow", "fast"])
@pytest.mark.parametrize("signature", ["acs3", "rpc"])
def test_a_clock_that_is_a_day_off_is_corrected_from_the_answer(machine, cloud, offset, signature):
    machine.write_settings(f"timeout = 5m\nsignature = {signature}", quota="rate = 100")
    cloud.control("POST", "/clock", {"offset": offset})
    assert show(machine) == (0, "")
    assert [call.get("code") for call in cloud.calls()] == ["InvalidTimeStamp.Expired", None]


def test_a_clock_that_cannot_be_corrected_is_named(patient, cloud):
    cloud.fault({"code": "InvalidTimeStamp.Expired"})
    status, line = show(patient)
    assert status == 1
    assert "set this machine's clock" in line
    assert len(cloud.calls()) == 2


def test_a_certificate_being_generated_is_waited_for(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 100")
    cloud.control("POST", "/device/a1X509rsa00/device-1", {"generating": 2})
    assert show(machine) == (0, "")
    assert len(cloud.calls()) == 3


def test_a_certificate_that_stays_in_generation_ends_with_the_deadline(machine):
    machine.write_settings("timeout = 6s", quota="rate = 100")
    status, line = show(machine, "aliyun-iot:a1Bad000000/generating")
    assert status == 1
    assert "still being generated" in line


def test_the_trace_at_its_highest_level_holds_no_secret(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 100")
    secrets = [cloud.information["access_key_secret"]]
    for device in ("device-1", "nodevice"):
        show(machine, f"aliyun-iot:a1X509rsa00/{device}")
    for signature in ("acs3", "rpc"):
        machine.write_settings(f"signature = {signature}", quota="rate = 100")
        cloud.fault({"code": "Throttling"}, times=1)
        show(machine)
    key = cloud.control("GET", "/device/a1X509rsa00/device-1")["key"]
    secrets += [line for line in key.splitlines() if not line.startswith("-----")]
    text = machine.trace.read_text()
    for expected in ("cache product=a1X509rsa00 device=device-1 result=miss", "fetch product=a1X509rsa00 device=device-1 result=ok request_id=",
                     "retry action=QueryDeviceCert", "http method=POST", "failed error="):
        assert expected in text
    for secret in secrets:
        assert secret not in text
    assert "PRIVATE KEY" not in text
    assert "Signature=" not in text
    assert machine.trace.stat().st_mode & 0o777 == 0o600


def test_show_prints_no_escape_sequence_and_no_forged_line(patient, cloud):
    cloud.fault({"merge": {"RequestId": "\x1b[2Jid\nsubject: forged",
                           "DeviceCertInfo": {"CertSN": "\x1b]0;title\x07\nkey: forged"}}})
    done = patient.run(COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout
    assert len([line for line in done.stdout.splitlines() if "forged" in line]) == 2
    assert not any(line.startswith(("subject: forged", "key: forged"))
                   for line in done.stdout.splitlines())


@pytest.mark.parametrize("code", ["NoPermission", "SignatureDoesNotMatch", "InternalError"])
def test_a_secret_that_the_service_repeats_is_neither_shown_nor_traced(machine, cloud, code):
    machine.write_settings("timeout = 2s", quota="rate = 100")
    secret = cloud.information["access_key_secret"]
    key = cloud.control("GET", "/device/a1X509rsa00/device-1")["key"]
    cloud.fault({"raw": json.dumps({"Code": code, "RequestId": secret,
                                    "Message": f"you sent {secret} for {key}"})})
    status, line = show(machine)
    assert status == 1
    text = line + machine.trace.read_text()
    for forbidden in [secret, *key.splitlines()]:
        assert forbidden not in text


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1"])
def test_an_address_that_libcurl_writes_in_another_way_is_signed_as_it_is_sent(
        machine, cloud, host):
    port = cloud.endpoint.rpartition(":")[2]
    machine.write_settings(f"timeout = 5m\nendpoint = https://{host}:{port}", quota="rate = 100")
    assert show(machine) == (0, "")


def test_openssl_that_demands_fips_without_its_provider_is_named(machine):
    cnf = machine.directory / "openssl.cnf"
    text = cnf.read_text()
    assert "providers = " in text
    cnf.write_text(re.sub(r"(?m)^(providers = .*)$", r"\1\nalg_section = algorithms", text) +
                   "\n[algorithms]\ndefault_properties = fips=yes\n")
    status, line = show(machine)
    assert status == 1
    assert "openssl.cnf demands fips=yes" in line
    assert "default provider" not in line


def test_sts_that_is_down_is_named_and_not_that_there_is_no_key(machine, cloud):
    token = machine.directory / "token"
    token.write_text("token")
    for name in list(machine.environment):
        if name.startswith("ALIBABA_CLOUD_ACCESS_KEY"):
            del machine.environment[name]
    machine.environment |= {"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r",
                            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p",
                            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token)}
    machine.write_settings("timeout = 2s",
                           credentials=f"sts-endpoint = https://127.0.0.1:{free_port()}")
    status, line = show(machine)
    assert status == 1
    assert "OIDC" in line and "127.0.0.1" in line
    assert "set ALIBABA_CLOUD_ACCESS_KEY_ID" not in line
