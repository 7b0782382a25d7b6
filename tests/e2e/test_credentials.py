# SPDX-License-Identifier: Apache-2.0
"""Every source of credentials, over real HTTP, through the command."""
import json
import stat
import sys
import time

import pytest

from machine import BUILD, COMMAND, ROOT, Machine

sys.path.insert(0, str(ROOT / "tests" / "cloud"))
import account  # noqa: E402
import sts  # noqa: E402

URI = "aliyun-iot:a1X509rsa00/device-1"
ROLE = f"acs:ram::{sts.ACCOUNT}:role/harness"
SECOND_ROLE = f"acs:ram::{sts.ACCOUNT}:role/second"
FULL = {"access_key_id": account.FULL_KEY[0], "access_key_secret": account.FULL_KEY[1]}


class Bare(Machine):
    """A machine without credentials, whose STS and metadata service are the stand-in's."""

    def __init__(self, directory, cloud):
        super().__init__(directory, cloud)
        self.write_credentials_settings()
        for name in list(self.environment):
            if name.startswith("ALIBABA_CLOUD_"):
                del self.environment[name]
        self.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"

    def write_credentials_settings(self, more=""):
        self.write_settings("timeout = 20s", quota="rate = 100", credentials=(
            f"sts-endpoint = {self.cloud.endpoint}\n"
            f"metadata-endpoint = {self.cloud.information['metadata']}\n" + more))

    def write_cli_profiles(self, *profiles, current="default"):
        folder = self.home / ".aliyun"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(
            json.dumps({"current": current, "profiles": list(profiles)}))

    def write_ini_profile(self, text):
        folder = self.home / ".alibabacloud"
        folder.mkdir(exist_ok=True)
        (folder / "credentials").write_text(text)

    def show(self):
        return self.run(COMMAND, "show", URI)


@pytest.fixture
def bare(tmp_path, cloud):
    return Bare(tmp_path, cloud)


def assert_works(bare, cloud, key_id=None):
    done = bare.show()
    assert done.returncode == 0, done.stderr
    call, = cloud.calls()
    if key_id:
        assert call["access_key_id"] == key_id
    else:
        assert call["access_key_id"].startswith("STS.")


def assert_fails(bare, *phrases):
    done = bare.show()
    assert done.returncode == 1
    line, = done.stderr.splitlines()
    for phrase in phrases:
        assert phrase in line
    assert account.FULL_KEY[1] not in line + bare.trace.read_text()
    return line


def profile(mode, name="default", **fields):
    return {"name": name, "mode": mode, **fields}


def oidc_fields(bare, token=sts.OIDC_TOKEN):
    path = bare.directory / "token"
    path.write_text(token + "\n")
    return {"oidc_provider_arn": sts.OIDC_PROVIDER, "oidc_token_file": str(path),
            "ram_role_arn": ROLE, "ram_session_name": "session"}


def test_the_environment_names_a_role_for_an_oidc_token(bare, cloud):
    fields = oidc_fields(bare)
    bare.environment.update(ALIBABA_CLOUD_ROLE_ARN=ROLE,
                            ALIBABA_CLOUD_OIDC_PROVIDER_ARN=sts.OIDC_PROVIDER,
                            ALIBABA_CLOUD_OIDC_TOKEN_FILE=fields["oidc_token_file"])
    assert_works(bare, cloud)


def test_a_wrong_oidc_token_is_an_error(bare):
    fields = oidc_fields(bare, "wrong")
    bare.environment.update(ALIBABA_CLOUD_ROLE_ARN=ROLE,
                            ALIBABA_CLOUD_OIDC_PROVIDER_ARN=sts.OIDC_PROVIDER,
                            ALIBABA_CLOUD_OIDC_TOKEN_FILE=fields["oidc_token_file"])
    assert_fails(bare, "OIDC", "AuthenticationFail.OIDCToken.Invalid")


def write_command(bare, text):
    path = bare.directory / "print-credentials"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def cli_modes(bare):
    metadata = bare.cloud.information["metadata"]
    answer = json.dumps({"mode": "AK", **FULL})
    return {
        "AK": profile("AK", **FULL),
        "StsToken": profile("StsToken", access_key_id=account.STS_KEY[0],
                            access_key_secret=account.STS_KEY[1], sts_token=account.STS_TOKEN),
        "RamRoleArn": profile("RamRoleArn", ram_role_arn=ROLE, ram_session_name="session",
                              expired_seconds=900, **FULL),
        "OIDC": profile("OIDC", **oidc_fields(bare)),
        "CredentialsURI": profile("CredentialsURI", credentials_uri=f"{metadata}/credentials"),
        "EcsRamRole": profile("EcsRamRole", ram_role_name="harness-machine"),
        "RamRoleArnWithRoleName": profile("RamRoleArnWithRoleName", ram_role_arn=ROLE,
                                          ram_session_name="session",
                                          ram_role_name="harness-machine"),
        "External": profile("External",
                            process_command=write_command(bare, f"echo '{answer}'")),
    }


@pytest.mark.parametrize("mode", ["AK", "StsToken", "RamRoleArn", "OIDC", "CredentialsURI",
                                  "EcsRamRole", "RamRoleArnWithRoleName", "External"])
def test_every_mode_of_a_cli_profile_works(bare, cloud, mode):
    del bare.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"]
    bare.write_cli_profiles(cli_modes(bare)[mode])
    assert_works(bare, cloud, account.FULL_KEY[0] if mode in ("AK", "External") else None)


def test_a_cli_profile_may_take_a_role_from_another(bare, cloud):
    bare.write_cli_profiles(
        profile("ChainableRamRoleArn", source_profile="middle", ram_role_arn=SECOND_ROLE,
                ram_session_name="second"),
        profile("RamRoleArn", "middle", ram_role_arn=ROLE, ram_session_name="first", **FULL))
    assert_works(bare, cloud)
    actions = [request["action"] for request in cloud.control("GET", "/requests")]
    assert actions == ["AssumeRole", "AssumeRole", "QueryDeviceCert"]


def test_cli_profiles_that_form_a_loop_are_an_error(bare):
    bare.write_cli_profiles(
        profile("ChainableRamRoleArn", source_profile="other", ram_role_arn=ROLE),
        profile("ChainableRamRoleArn", "other", source_profile="default", ram_role_arn=ROLE))
    assert_fails(bare, "loop")


@pytest.mark.parametrize("text, phrase", [
    ("exit 3", "the command failed"), ("echo nonsense", "not JSON"),
    ("exec sleep 100", "did not end in time"), ("exec yes", "more than 64 KiB"),
    ("echo '{}'", "AccessKey id is missing")])
def test_a_command_that_gives_no_credentials_is_an_error(bare, text, phrase):
    bare.write_settings("timeout = 2s", quota="rate = 100")
    bare.write_cli_profiles(profile("External", process_command=write_command(bare, text)))
    assert_fails(bare, phrase)


@pytest.mark.parametrize("kind", ["access_key", "ram_role_arn", "ecs_ram_role"])
def test_every_type_of_an_ini_profile_works(bare, cloud, kind):
    del bare.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"]
    bare.write_ini_profile(f"""\
[default]
enable = true
type = {kind}
access_key_id = {account.FULL_KEY[0]}
access_key_secret = {account.FULL_KEY[1]}
role_arn = {ROLE}
role_session_name = session
role_name = harness-machine
""")
    assert_works(bare, cloud, account.FULL_KEY[0] if kind == "access_key" else None)


@pytest.mark.parametrize("mode, asked", [("hardened", "PUT"), ("plain", "PUT"), ("both", "PUT")])
@pytest.mark.parametrize("role", ["", "harness-machine"])
def test_the_machines_role_is_the_metadata_services(bare, cloud, mode, asked, role):
    del bare.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"]
    bare.environment["ALIBABA_CLOUD_ECS_METADATA"] = role
    cloud.control("POST", "/metadata", {"mode": mode})
    assert_works(bare, cloud)
    questions = [request for request in cloud.control("GET", "/requests")
                 if request["action"] == "Metadata"]
    assert questions[0]["method"] == asked
    assert len(questions) == (2 if role else 3)


def test_plain_metadata_can_be_forbidden(bare, cloud):
    del bare.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"]
    bare.environment["ALIBABA_CLOUD_IMDSV1_DISABLED"] = "true"
    cloud.control("POST", "/metadata", {"mode": "plain"})
    assert_fails(bare, "ECS metadata", "HTTP status 404")


def test_a_machine_without_metadata_service_is_told_soon(bare, cloud):
    del bare.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"]
    cloud.control("POST", "/metadata", {"delay": 5})
    assert_fails(bare, "ECS metadata")


def test_a_credentials_uri_works(bare, cloud):
    bare.environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = \
        bare.cloud.information["metadata"] + "/credentials"
    assert_works(bare, cloud)


@pytest.mark.parametrize("uri, phrase", [
    ("http://198.51.100.1/credentials", "localhost and private addresses only"),
    ("http://localhost.example.com/", "localhost and private addresses only"),
    ("file:///etc/passwd", "neither http:// nor https://")])
def test_a_credentials_uri_that_is_not_safe_is_refused(bare, uri, phrase):
    bare.environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = uri
    assert_fails(bare, phrase)


def test_the_environment_comes_before_the_profiles(bare, cloud):
    bare.write_cli_profiles(profile("AK", access_key_id="LTAIother", access_key_secret="other"))
    bare.environment.update(ALIBABA_CLOUD_ACCESS_KEY_ID=account.FULL_KEY[0],
                            ALIBABA_CLOUD_ACCESS_KEY_SECRET=account.FULL_KEY[1])
    assert_works(bare, cloud, account.FULL_KEY[0])


def test_a_pinned_source_is_the_only_one(bare, cloud):
    bare.environment.update(ALIBABA_CLOUD_ACCESS_KEY_ID="LTAIother",
                            ALIBABA_CLOUD_ACCESS_KEY_SECRET="other")
    bare.write_cli_profiles(profile("AK", "work", **FULL))
    bare.write_credentials_settings("source = cli-profile\nprofile = work")
    assert_works(bare, cloud, account.FULL_KEY[0])
    bare.write_credentials_settings("source = nowhere")
    assert_fails(bare, "source = nowhere is unknown", "credentials-uri")


def test_without_any_credentials_the_error_lists_what_was_tried(bare):
    line = assert_fails(bare, "set ALIBABA_CLOUD_ACCESS_KEY_ID", "environment: ", "OIDC: ",
                        "config.json: No such file", "credentials: No such file", "ECS metadata: ",
                        "credentials URI: ")
    assert len(line) <= 1100


def test_credentials_are_refreshed_before_they_expire(bare, cloud):
    """They live for less than the head start of the refresh: each fetch gets new ones."""
    cloud.control("POST", "/sts", {"lifetime": 120})
    bare.environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = \
        bare.cloud.information["metadata"] + "/credentials"
    done = bare.run(BUILD / "tests/programs/fleet", "1",
                    input="aliyun-iot:a1X509rsa00/device-1\naliyun-iot:a1X509rsa00/device-2\n")
    assert "error" not in done.stdout
    ids = [call["access_key_id"] for call in cloud.calls()]
    assert len(set(ids)) == 2


def test_a_refresh_that_fails_keeps_what_is_still_valid(bare, cloud):
    issued = json.dumps({"mode": "StsToken", "access_key_id": account.STS_KEY[0],
                         "access_key_secret": account.STS_KEY[1], "sts_token": account.STS_TOKEN,
                         "expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                     time.gmtime(time.time() + 120))})
    once = bare.directory / "once"
    bare.write_cli_profiles(profile("External", process_command=write_command(
        bare, f"[ ! -e {once} ] || exit 1\ntouch {once}\necho '{issued}'")))
    done = bare.run(BUILD / "tests/programs/fleet", "1",
                    input="aliyun-iot:a1X509rsa00/device-1\naliyun-iot:a1X509rsa00/device-2\n")
    assert "error" not in done.stdout
    assert [call["access_key_id"] for call in cloud.calls()] == [account.STS_KEY[0]] * 2
    assert bare.trace.read_text().count("credentials source=") == 1


def test_credentials_that_the_cloud_calls_expired_are_fetched_anew(bare, cloud):
    bare.environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = \
        bare.cloud.information["metadata"] + "/credentials"
    cloud.fault({"code": "InvalidSecurityToken.Expired"}, times=1)
    done = bare.show()
    assert done.returncode == 0, done.stderr
    first, second = cloud.calls()
    assert first["access_key_id"] != second["access_key_id"]


def test_many_threads_ask_for_credentials_once(bare, cloud):
    bare.write_cli_profiles(profile("RamRoleArn", ram_role_arn=ROLE, ram_session_name="session",
                                    **FULL))
    wanted = "".join(f"aliyun-iot:a1X509rsa00/harness-{number}\n" for number in range(32))
    done = bare.run(BUILD / "tests/programs/fleet", "32", input=wanted)
    assert "error" not in done.stdout
    actions = [request["action"] for request in cloud.control("GET", "/requests")]
    assert actions.count("AssumeRole") == 1
    assert actions.count("QueryDeviceCert") == 32
