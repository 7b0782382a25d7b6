# SPDX-License-Identifier: Apache-2.0
"""Who may use which device through an agent with a policy, as who the kernel says they are."""
import base64
import contextlib
import grp
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import sys
import time

import pytest

from machine import COMMAND, PRODUCT, THROUGH_AGENT, user_namespaces
from principals import (IN_NETWORK_NAMESPACE, IN_PID_NAMESPACE, IN_USER_NAMESPACE, Accounts,
                        as_user, in_cgroup, needs_root)

DEVICE = f"{PRODUCT}/device-1"
URI = f"aliyun-iot:{DEVICE}"
HEAD = "[policy]\nversion = 1\n"

pytestmark = [needs_root,
              pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")]


@pytest.fixture(scope="module")
def accounts():
    made = Accounts()
    try:
        made.group("iot-test")
        made.user("iot-harness", "iot-test")
        made.user("iot-other")
        yield made
    finally:
        made.close()


def rule(name, effect="allow", **keys):
    """A rule about all devices, and loading and signing, if the keys do not say something else."""
    keys = {"effect": effect, "devices": "*/*", "operations": "load, sign", **keys}
    return f"[rule/{name}]\n" + "".join(
        f"{key.replace('_', '-')} = {value}\n" for key, value in keys.items())


def show(machine, *before, uri=URI):
    return machine.run(*before, COMMAND, "show", uri)


def sign(machine, *before, uri=URI):
    message = machine.directory / "message"
    message.write_text("a message")
    return machine.run(*before, "openssl", "pkeyutl", "-sign", "-rawin", "-digest", "sha256",
                       "-inkey", uri, "-in", message)


def is_allowed(done):
    """Whether it was allowed, or denied by the policy: nothing else may have happened."""
    assert done.returncode == 0 or " may not " in done.stderr, done.stderr
    return done.returncode == 0


def replace_policy(agent, text):
    agent.policy.write_text(text)
    answer = agent.ask(operation="reload")
    assert answer["ok"], answer


def test_a_user_of_the_policy_signs_and_another_does_not(machine, accounts):
    machine.use_agent(policy=HEAD + rule("one", users="iot-harness"))
    harness, other = (as_user(pwd.getpwnam(name).pw_uid) for name in ("iot-harness", "iot-other"))
    assert is_allowed(sign(machine, *harness))
    assert not is_allowed(sign(machine, *other))


def test_root_has_no_privilege_under_a_policy(machine):
    machine.use_agent(policy=HEAD + rule("one", users="#2001"))
    assert is_allowed(show(machine, *as_user(2001)))
    assert not is_allowed(show(machine))


def test_loading_alone_may_be_allowed(machine):
    machine.use_agent(policy=HEAD + rule("one", users="#2001", operations="load"))
    assert is_allowed(show(machine, *as_user(2001)))
    done = sign(machine, *as_user(2001))
    assert f"a program of uid 2001 may not sign {DEVICE}" in done.stderr


def test_a_denied_request_causes_no_call(machine, cloud):
    machine.use_agent(policy=HEAD + rule("one", users="#2001"))
    assert not is_allowed(show(machine, *as_user(2002)))
    assert cloud.calls() == []


def test_groups_count_whether_primary_or_supplementary(machine, accounts):
    group = grp.getgrnam("iot-test").gr_gid
    machine.use_agent(policy=HEAD + rule("one", groups="iot-test"))
    assert is_allowed(show(machine, *as_user(2001, group)))
    assert is_allowed(show(machine, *as_user(2001, 2001, [5, group, 7])))
    assert not is_allowed(show(machine, *as_user(2001, 2001, [5, 7])))


def test_a_list_of_many_groups_is_read_whole(machine):
    machine.use_agent(policy=HEAD + rule("one", groups="#70000"))
    assert is_allowed(show(machine, *as_user(2001, 2001, [*range(1000, 3000), 70000])))


def test_the_program_is_told_what_to_ask_for(machine):
    machine.use_agent(policy=HEAD + rule("secret-name", users="#2001", reason="secret-reason"))
    done = show(machine, *as_user(2002))
    assert done.returncode == 1
    assert (f"a program of uid 2002 may not load {DEVICE}; ask for a rule: aliyun-iot policy "
            "explain --user '#2002' --socket main --operation load " + URI) in done.stderr
    assert "secret" not in done.stderr


def test_the_overflow_user_is_nobody(machine):
    machine.use_agent(policy=HEAD + rule("all", users="*"))
    assert is_allowed(show(machine, *as_user(65533)))
    done = show(machine, *as_user(65534))
    assert "a program of a user whom the agent cannot tell may not load" in done.stderr
    assert "--user unknown" in done.stderr


def test_a_deny_by_another_user_catches_the_overflow_user(machine):
    machine.use_agent(policy=HEAD + rule("all", sockets="main") +
                      rule("one", "deny", users="#2001"))
    assert is_allowed(show(machine, *as_user(2002)))
    assert not is_allowed(show(machine, *as_user(2001)))
    assert not is_allowed(show(machine, *as_user(65534)))


# Systemd's units.

def test_a_unit_is_the_first_service_or_scope_of_the_path(machine):
    machine.use_agent(policy=HEAD + rule("one", units="iot-test@*.service"))
    with in_cgroup("system.slice/iot-test@1.service") as unit:
        assert is_allowed(show(machine, *unit))
    with in_cgroup("system.slice/iot-test@1.service/worker") as unit:
        assert is_allowed(show(machine, *unit))
    with in_cgroup("system.slice/iot-other.service") as unit:
        assert not is_allowed(show(machine, *unit))
    assert not is_allowed(show(machine))


def test_a_unit_that_a_user_made_for_himself_is_the_users(machine):
    machine.use_agent(policy=HEAD + rule("one", units="iot-test@*.service"))
    own = "user.slice/user-2001.slice/user@2001.service/app.slice/iot-test@1.service"
    with in_cgroup(own) as unit:
        done = show(machine, *unit, *as_user(2001))
    assert not is_allowed(done)
    assert "in unit user@2001.service" in done.stderr


# Its first thread ends, and another one asks.
WITHOUT_FIRST_THREAD = """
import ctypes, os, subprocess, sys, threading, time
def ask():
    while "Z" not in next(line for line in open("/proc/self/status") if line.startswith("State:")):
        time.sleep(0.01)
    print(connect_and_load(sys.argv[1], sys.argv[2]), flush=True)
    os._exit(0)
def connect_and_load(path, uri):
    import json, socket
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    connection.send(json.dumps({"version": 1, "operation": "identity", "uri": uri,
                                "timeout": 60000}).encode())
    return json.loads(connection.recv(1 << 20)).get("reason")
threading.Thread(target=ask).start()
ctypes.CDLL(None).syscall(60, 0)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of exit() is another one")
def test_a_program_does_not_leave_its_unit_by_ending_its_first_thread(machine):
    agent = machine.use_agent(policy=HEAD + rule("all", users="*") +
                              rule("one", "deny", units="iot-bad.service"))
    with in_cgroup("system.slice/iot-bad.service") as unit:
        done = machine.run(*unit, "/usr/bin/python3", "-c", WITHOUT_FIRST_THREAD, agent.socket, URI)
    assert done.stdout == "DENIED\n", done.stderr


def test_a_deny_by_unit_catches_that_unit_alone(machine):
    machine.use_agent(policy=HEAD + rule("all", users="*") +
                      rule("one", "deny", units="iot-bad.service"))
    with in_cgroup("system.slice/iot-bad.service") as unit:
        assert not is_allowed(show(machine, *unit))
    assert is_allowed(show(machine))


# Namespaces.

def test_containers_are_not_served_unless_a_rule_says_so(machine):
    if not user_namespaces():
        pytest.skip("no user namespace can be made here")
    machine.settings.write_text(machine.settings.read_text())
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0"))
    # In a user namespace, the socket of an agent looks like another user's.
    machine.settings.write_text(machine.settings.read_text().replace(
        "[agent]\n", "[agent]\nowner = any\n"))
    for place in (IN_USER_NAMESPACE, IN_PID_NAMESPACE):
        assert not is_allowed(show(machine, *place)), place
    assert is_allowed(show(machine, *IN_NETWORK_NAMESPACE))
    assert "--container yes" in show(machine, *IN_PID_NAMESPACE).stderr
    replace_policy(agent, HEAD + rule("one", users="#0", containers="yes"))
    for place in (IN_USER_NAMESPACE, IN_PID_NAMESPACE, IN_NETWORK_NAMESPACE):
        assert is_allowed(show(machine, *place)), place


def test_a_deny_holds_in_containers_too(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0", containers="yes") +
                              rule("two", "deny", users="#0", devices="*/device-2"))
    assert agent
    assert is_allowed(show(machine, *IN_PID_NAMESPACE))
    assert not is_allowed(show(machine, *IN_PID_NAMESPACE, uri=f"aliyun-iot:{PRODUCT}/device-2"))


# A connection is not its user's for ever.

def ask(connection, **request):
    connection.send(json.dumps({"version": 1, **request}).encode())
    return json.loads(connection.recv(1 << 20))


def load(connection, device=DEVICE):
    return ask(connection, operation="identity", uri=f"aliyun-iot:{device}", timeout=60000)


def in_child(function):
    """What a function returns in a child process that it may change."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(function()).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="ascii") as pipe:
        result = json.load(pipe)
    assert os.waitpid(child, 0)[1] == 0
    return result


def test_a_process_that_drops_its_rights_is_seen_as_what_it_is_now(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0"))

    def drop():
        connection = agent.connect()
        before = load(connection)["ok"]
        os.setgroups([])
        os.setgid(2001)
        os.setuid(2001)
        return before, load(connection)["ok"]

    assert in_child(drop) == [True, False]


def test_the_groups_of_a_process_that_changed_its_user_are_unknown(machine):
    agent = machine.use_agent(policy=HEAD + rule("all", users="*") +
                              rule("one", "deny", groups="#3000"))

    def drop():
        os.setgroups([4000])
        connection = agent.connect()
        before = load(connection)["ok"]
        os.setuid(2001)
        return before, load(connection)["ok"], load(agent.connect())["ok"]

    assert in_child(drop) == [True, False, True]


def test_the_groups_of_who_connected_are_not_those_of_who_sends(machine):
    agent = machine.use_agent(policy=HEAD + rule("all", users="#0", containers="yes") +
                              rule("one", "deny", groups="#3000"))

    def connect_for_a_child():
        os.setgroups([])
        connection = agent.connect()

        def send():
            os.setgroups([3000])
            return load(connection)["ok"]

        return in_child(send), load(agent.connect())["ok"]

    assert in_child(connect_for_a_child) == [False, True]


def test_a_connection_that_another_process_uses_is_to_be_opened_again(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0"))
    with agent.connect() as connection:
        assert load(connection)["ok"]
        assert in_child(lambda: load(connection))["reason"] == "RECONNECT"


def test_what_is_known_of_a_process_that_is_gone_is_unknown(machine):
    """Its child sends the first packet of the connection that it made."""
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0", containers="no"))
    with agent.connect() as connection:
        answer = in_child(lambda: load(connection))
    assert answer["reason"] == "DENIED"
    assert "--unit unknown" in answer["message"]
    assert "--container unknown" in answer["message"]


def test_a_new_policy_counts_for_the_next_request_of_an_open_connection(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0"))
    with agent.connect() as connection:
        assert load(connection)["ok"]
        replace_policy(agent, HEAD + rule("one", users="#2001"))
        assert load(connection)["reason"] == "DENIED"
        replace_policy(agent, HEAD + rule("one", users="#0"))
        assert load(connection)["ok"]


# Sockets.

def test_the_socket_by_which_a_program_came_is_a_principal(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", sockets="inner", containers="yes"))
    inner = agent.folder / "container"
    inner.mkdir()
    with agent.settings.open("a") as file:
        file.write(f"[socket/inner]\npath = {inner}/agent.sock\nmode = 0666\n")
    agent.process.terminate()
    agent.process.wait()
    agent.start()
    assert not is_allowed(show(machine))
    machine.environment["ALIYUN_IOT_AGENT"] = f"{inner}/agent.sock"
    assert is_allowed(show(machine))
    # The folder, mounted into a container where the outer one is not.
    outside = machine.directory / "mounted"
    outside.mkdir()
    machine.environment["ALIYUN_IOT_AGENT"] = f"{outside}/agent.sock"
    mount = ["unshare", "--mount", "--pid", "--fork", "sh", "-c",
             f'mount --bind {inner} {outside} && exec "$@"', "sh"]
    assert is_allowed(show(machine, *mount))


# Limits.

def test_a_limit_answers_limited_for_each_user(machine):
    agent = machine.use_agent(policy=HEAD + rule("all", users="*") +
                              rule("pace", "limit", operations="load", rate="3/h"))

    def load_four_times():
        os.setgid(2001)
        os.setuid(2001)
        with agent.connect() as connection:
            return [load(connection).get("limit") for _ in range(4)]

    assert in_child(load_four_times) == [None, None, None, "pace"]
    with agent.connect() as connection:
        assert [load(connection)["ok"] for _ in range(3)] == [True] * 3
    # What was counted stays counted after a reload.
    assert agent.ask(operation="reload")["ok"]
    assert in_child(load_four_times) == ["pace"] * 4
    done = show(machine, *as_user(2001))
    assert f"asks to load {DEVICE} more often than it may" in done.stderr


def test_a_request_that_one_limit_refuses_is_counted_by_none(machine):
    agent = machine.use_agent(
        policy=HEAD + rule("all", users="*") +
        rule("narrow", "limit", operations="load", devices="*/device-1", rate="1/h") +
        rule("wide", "limit", operations="load", rate="2/h"))
    with agent.connect() as connection:
        assert load(connection)["ok"]
        assert [load(connection)["limit"] for _ in range(3)] == ["narrow"] * 3
        assert load(connection, f"{PRODUCT}/device-2")["ok"]
        assert load(connection, f"{PRODUCT}/device-2")["limit"] == "wide"


def test_each_user_has_so_many_operations_a_second(machine):
    machine.write_settings(limits="operations = 5")
    agent = machine.use_agent(policy=HEAD + rule("all", users="#0"))
    with agent.connect() as connection:
        answers = [load(connection) for _ in range(50)]
    limited = [answer for answer in answers if answer.get("limit") == "operations"]
    assert limited and answers[0]["ok"]


# Files.

def test_a_signature_that_waits_past_the_end_of_its_rule_is_denied(machine, cloud):
    """It is asked for in time, and the cloud answers when the rule has ended."""
    end = time.time() + 10
    policy = HEAD + rule("short", users="root", not_after=time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                                        time.gmtime(end)))
    agent = machine.use_agent(policy=policy)
    identity = agent.ask(operation="identity", uri=URI, timeout=60000)
    assert identity["ok"], identity
    assert agent.ask(operation="evict", pattern="*/*")["ok"]
    cloud.fault({"delay": end + 2 - time.time()})
    answer = agent.ask(operation="sign", uri=URI, timeout=60000, key=identity["key"],
                       scheme="rsa-pkcs1-sha256", message=base64.b64encode(b"text").decode())
    assert not answer["ok"] and answer["reason"] == "DENIED", answer


def broken(machine, text):
    """What an agent says that does not start by this policy."""
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0"))
    agent.process.terminate()
    agent.process.wait()
    agent.policy.write_text(text)
    done = subprocess.run(agent.command, env=agent.environment, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("text, problem", [
    (HEAD + "[rule/x]\nefect = deny\neffect = deny\ndevices = a/b\n", "the policy has 2 problems"),
    ("", "it has no section"),
])
def test_an_agent_does_not_start_by_a_policy_with_an_error(machine, text, problem):
    assert problem in broken(machine, text)


def test_a_policy_that_is_named_and_missing_is_an_error(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#0"))
    agent.process.terminate()
    agent.process.wait()
    agent.policy.unlink()
    done = subprocess.run(agent.command, env=agent.environment, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1
    assert "policy.conf: No such file" in done.stderr


@pytest.mark.parametrize("harm", ["text", "mode", "owner", "link", "gone", "drop-in"])
def test_the_last_good_policy_stays(machine, harm):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#2001"))
    good = agent.policy.read_text()
    if harm == "text":
        agent.policy.write_text(HEAD + rule("one", users="#2002") + "oops\n")
    elif harm == "mode":
        agent.policy.chmod(0o666)
    elif harm == "owner":
        os.chown(agent.policy, 2002, 2002)
    elif harm == "link":
        agent.policy.rename(agent.folder / "other")
        agent.policy.symlink_to(agent.folder / "other")
    elif harm == "gone":
        agent.policy.unlink()
    else:
        (agent.folder / "policy.d").mkdir()
        (agent.folder / "policy.d" / "10.conf").write_text(rule("two", users="#2002"))
        (agent.folder / "policy.d" / "20.conf").write_text("[rule/three]\n")
    answer = agent.ask(operation="reload")
    assert not answer["ok"]
    assert "policy" in answer["message"]
    assert is_allowed(show(machine, *as_user(2001)))
    assert not is_allowed(show(machine, *as_user(2002)))
    assert agent.ask(operation="health")["reload_failed"] is True
    assert answer["message"] == agent.ask(operation="status")["reload_error"]
    if harm == "text":
        agent.policy.write_text(good)
        assert agent.ask(operation="reload")["ok"]
        assert agent.ask(operation="health")["reload_failed"] is False


def test_health_is_for_all_and_operators_operations_for_root_and_the_agent(machine):
    agent = machine.use_agent(policy=HEAD + rule("one", users="#2001"))

    def ask_all():
        os.setgid(2001)
        os.setuid(2001)
        return [agent.ask(operation="health")["ok"],
                *(agent.ask(operation=operation, **more).get("reason") for operation, more in
                  (("status", {}), ("list", {}), ("reload", {}), ("evict", {"pattern": "*/*"})))]

    assert in_child(ask_all) == [True] + ["DENIED"] * 4
    assert agent.ask(operation="list")["ok"]


def test_a_private_agent_has_no_policy(machine):
    settings = machine.directory / "agent.conf"
    settings.write_text(machine.settings.read_text() + "[policy]\nfile = policy.conf\n")
    (machine.directory / "policy.conf").write_text(HEAD + rule("one", users="#2001"))
    agent = pathlib.Path(machine.use_agent().command[0])
    machine.stop_agent()
    done = machine.run(agent, "--config", settings, "--", COMMAND, "show", URI,
                       environment={name: machine.cloud.information[key] for name, key in (
                           ("ALIBABA_CLOUD_ACCESS_KEY_ID", "access_key_id"),
                           ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "access_key_secret"))})
    assert done.returncode == 0, done.stderr
