# SPDX-License-Identifier: Apache-2.0
"""Every source of credentials, over real HTTP, through the command."""
import fcntl
import json
import os
import stat
import subprocess
import sys
import time

import pytest

from machine import BUILD, COMMAND, Machine, PATIENCE_S, ROOT

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
        self.write_settings("timeout = 5m", quota="rate = 100", credentials=(
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
    ("exit 3", "the command failed with exit status 3"), ("kill $$", "ended by signal 15"),
    ("echo nonsense", "not JSON"), ("exec sleep 100", "did not end in time"),
    ("exec sleep 100 >&-", "did not end in time"), ("exec yes", "more than 64 KiB"),
    ("echo '{}'", "AccessKey id is missing"),
    ("""echo '{"mode":"StsToken","access_key_id":"i","access_key_secret":"s"}'""",
     "mode StsToken, no sts_token"),
    ("""echo '{"access_key_id":"i","access_key_secret":"s","expiration":"soon"}'""",
     "unreadable expiration"),
    ("""echo '{"access_key_id":"i","access_key_secret":"s","expiration":1795521600}'""",
     "unreadable expiration")])
def test_a_command_that_gives_no_credentials_is_an_error(bare, text, phrase):
    bare.write_settings("timeout = " + ("2s" if "sleep" in text else "5m"), quota="rate = 100")
    bare.write_cli_profiles(profile("External", process_command=write_command(bare, text)))
    assert_fails(bare, phrase)


def test_a_command_is_split_as_a_shell_splits_words(bare, cloud):
    answer = json.dumps({"mode": "AK", **FULL})
    bare.write_cli_profiles(profile("External", process_command=f"printf '%s' '{answer}'"))
    assert_works(bare, cloud, account.FULL_KEY[0])


@pytest.mark.parametrize("command, phrase", [
    ("'print", "a quote that is not closed"), ("print\\", "ends with a backslash"),
    (" ", "process_command is missing"), ("./nowhere one", "./nowhere cannot be started: No such")])
def test_a_command_that_cannot_be_run_is_an_error(bare, command, phrase):
    bare.write_cli_profiles(profile("External", process_command=command))
    assert_fails(bare, phrase)


def test_a_command_has_as_many_arguments_as_it_is_given(bare, cloud):
    answer = json.dumps({"mode": "AK", **FULL})
    command = write_command(bare, f"[ $# = 100 ] && echo '{answer}'")
    bare.write_cli_profiles(profile("External", process_command=command + " x" * 100))
    assert_works(bare, cloud, account.FULL_KEY[0])


def test_a_command_inherits_no_descriptor_beyond_standard_error(bare, cloud):
    answer = json.dumps({"mode": "AK", **FULL})
    found = bare.directory / "descriptors"
    bare.write_cli_profiles(profile("External", process_command=write_command(
        bare, f"ls /proc/$$/fd >{found}\necho '{answer}'")))
    with open("/dev/null") as file:
        # A number that the shell does not use for its script.
        inherited = fcntl.fcntl(file, fcntl.F_DUPFD, 40)
        done = bare.run(COMMAND, "show", URI, pass_fds=[inherited])
        os.close(inherited)
    assert done.returncode == 0, done.stderr
    assert str(inherited) not in found.read_text().split()


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_commands_can_be_disabled(bare, value):
    bare.environment["ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS"] = value
    bare.write_cli_profiles(profile("External", process_command=write_command(bare, "exit 0")))
    assert_fails(bare, "disabled by ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS")


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
                                                     time.gmtime(time.time() + 290))})
    once = bare.directory / "once"
    bare.write_cli_profiles(profile("External", process_command=write_command(
        bare, f"[ ! -e {once} ] || exit 1\ntouch {once}\necho '{issued}'")))
    done = bare.run(BUILD / "tests/programs/fleet", "1",
                    input="aliyun-iot:a1X509rsa00/device-1\naliyun-iot:a1X509rsa00/device-2\n")
    assert "error" not in done.stdout
    assert [call["access_key_id"] for call in cloud.calls()] == [account.STS_KEY[0]] * 2
    assert bare.trace.read_text().count("credentials source=") == 1


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.117Z",
                                  "%Y-%m-%dT%H:%M:%S+00:00"])
def test_a_command_is_run_again_before_its_credentials_expire(bare, cloud, form):
    runs = bare.directory / "runs"
    issued = json.dumps({"mode": "StsToken", "access_key_id": account.STS_KEY[0],
                         "access_key_secret": account.STS_KEY[1], "sts_token": account.STS_TOKEN,
                         "expiration": time.strftime(form, time.gmtime(time.time() + 120))})
    bare.write_cli_profiles(profile("External", process_command=write_command(
        bare, f"echo run >> {runs}\necho '{issued}'")))
    done = bare.run(BUILD / "tests/programs/fleet", "1",
                    input="aliyun-iot:a1X509rsa00/device-1\naliyun-iot:a1X509rsa00/device-2\n")
    assert "error" not in done.stdout
    assert runs.read_text() == "run\nrun\n"


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


ROTATED = {"access_key_id": "LTAI5tStandInRotated0001",
           "access_key_secret": "StandInSecretRotated000000001"}


class Fleet:
    """A process that lives on from one URI to the next."""

    def __init__(self, bare):
        self.process = bare.start(BUILD / "tests/programs/fleet", "1", stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate(timeout=PATIENCE_S)

    def resolve(self, uri):
        self.process.stdin.write(uri + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


def test_a_running_process_notices_that_its_access_key_was_rotated(bare, cloud):
    bare.write_cli_profiles(profile("AK", **FULL))
    with Fleet(bare) as fleet:
        assert "error" not in fleet.resolve("aliyun-iot:a1X509rsa00/device-1")
        bare.write_cli_profiles(profile("AK", **ROTATED))
        cloud.control("POST", "/key", {"from": FULL["access_key_id"],
                                       "to": ROTATED["access_key_id"],
                                       "secret": ROTATED["access_key_secret"]})
        assert "error" not in fleet.resolve("aliyun-iot:a1X509rsa00/device-2")
        assert "error" not in fleet.resolve("aliyun-iot:a1X509rsa00/harness-1")
    old, new = FULL["access_key_id"], ROTATED["access_key_id"]
    assert [call["access_key_id"] for call in cloud.calls()] == [old, old, new, new]


def test_an_access_key_that_stays_wrong_is_not_tried_twice(bare, cloud):
    bare.write_cli_profiles(profile("AK", access_key_id=account.FULL_KEY[0],
                                    access_key_secret="wrong"))
    assert_fails(bare, "SignatureDoesNotMatch")
    assert len(cloud.calls()) == 1
    assert "credentials read again: they are the same" in bare.trace.read_text()


INI_KEY = (f"type = access_key\naccess_key_id = {account.FULL_KEY[0]}\n"
           f"access_key_secret = {account.FULL_KEY[1]}\n")


@pytest.mark.parametrize("cli, phrase", [
    ([profile("FutureMode", "chosen", **FULL)], "mode FutureMode is not supported"),
    ([profile("BearerToken", "chosen")], "mode BearerToken holds no AccessKey"),
    ([{"name": "chosen", **FULL}], "it has no mode"),
    ([], "there is no such section")])
@pytest.mark.parametrize("by_settings", [True, False])
def test_a_profile_chosen_by_name_is_never_replaced(bare, cloud, cli, phrase, by_settings):
    bare.write_cli_profiles(*cli, profile("AK", "other", **FULL), current="other")
    bare.write_ini_profile(f"[default]\n{INI_KEY}[Chosen]\n{INI_KEY}")
    bare.environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = \
        bare.cloud.information["metadata"] + "/credentials"
    if by_settings:
        bare.write_credentials_settings("profile = chosen")
    else:
        bare.environment["ALIBABA_CLOUD_PROFILE"] = "chosen"
    assert_fails(bare, "profile chosen is chosen by name and cannot be used", phrase)
    assert not cloud.control("GET", "/requests")


def test_a_current_profile_that_cannot_be_used_is_passed_over_with_a_trace_line(bare, cloud):
    bare.write_cli_profiles(profile("FutureMode"))
    bare.write_ini_profile(f"[default]\n{INI_KEY}")
    assert_works(bare, cloud, account.FULL_KEY[0])
    assert "credentials skipped source=cli-profile error=CLI profile default" in \
        bare.trace.read_text()


def test_the_metadata_service_may_refuse_its_own_token(bare, cloud):
    del bare.environment["ALIBABA_CLOUD_ECS_METADATA_DISABLED"]
    cloud.control("POST", "/metadata", {"mode": "stubborn"})
    assert_works(bare, cloud)
    bare.environment["ALIBABA_CLOUD_IMDSV1_DISABLED"] = "true"
    assert_fails(bare, "ECS metadata", "HTTP status 403")
