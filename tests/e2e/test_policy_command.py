# SPDX-License-Identifier: Apache-2.0
"""aliyun-iot policy: check, explain, test, grant and revoke."""
import os
import pwd
import re
import shlex
import time

import pytest

from machine import COMMAND, PATIENCE_S, PRODUCT, ROOT, THROUGH_AGENT
from principals import as_user, needs_root

DEVICE = f"{PRODUCT}/device-1"
URI = f"aliyun-iot:{DEVICE}"
HEAD = "[policy]\nversion = 1\n"

pytestmark = pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")

POLICY = HEAD + """
[rule/harness]
effect = allow
users = daemon
units = harness@*.service
devices = a1TEST*/harness-*
operations = load, sign
usage = tls-client
servers = *.broker.example, 192.0.2.1
not-after = 2031-01-01T00:00:00Z
reason = QA-1234

[rule/no-export]
effect = deny
devices = */*
operations = export

[rule/spokes]
effect = allow
hosts = *.spokes.example
devices = a1TEST*/*
operations = load, export

[rule/pace]
effect = limit
devices = */*
operations = load
rate = 5/s
"""


@pytest.fixture
def policy(machine):
    path = machine.directory / "policy.conf"
    path.write_text(POLICY)
    path.chmod(0o644)
    return path


def explain(machine, policy, text):
    return machine.run(COMMAND, "policy", "explain", "--policy", policy, *shlex.split(text))


HARNESS = "--user daemon --unit harness@1.service --at 2030-12-31T23:59:59Z "
LOAD = "--operation load aliyun-iot:a1TEST1/harness-1"
SIGN = "--operation sign --usage tls-client aliyun-iot:a1TEST1/harness-1 "


@pytest.mark.parametrize("text, allowed", [
    (HARNESS + LOAD, True),
    (HARNESS + LOAD.replace("harness", "other"), False),
    (HARNESS.replace("daemon", "root") + LOAD, False),
    (HARNESS.replace("daemon", "'#1'") + LOAD, True),
    (HARNESS.replace("daemon", "unknown") + LOAD, False),
    (HARNESS.replace("harness@1.service", "unknown") + LOAD, False),
    (HARNESS.replace("--unit harness@1.service", "") + LOAD, False),
    (HARNESS.replace("2030-12-31T23:59:59", "2031-01-01T00:00:00") + LOAD, False),
    (HARNESS + "--container yes " + LOAD, False),
    (HARNESS + "--container unknown " + LOAD, False),
    (HARNESS + "--operation sign aliyun-iot:a1TEST1/harness-1", False),
    (HARNESS + SIGN, False),
    (HARNESS + SIGN + "--server a.broker.example", True),
    (HARNESS + SIGN + "--server a.broker.example --tls 1.3", False),
    (HARNESS + SIGN + "--tls 1.2", False),
    (HARNESS + SIGN + "--server A.Broker.Example. --server 192.0.2.1", True),
    (HARNESS + SIGN + "--server '*.broker.example'", True),
    (HARNESS + SIGN + "--server a.broker.example --server b.example", False),
    (HARNESS + SIGN + "--server a.b.broker.example", False),
    (HARNESS + SIGN + "--server broker.example", False),
    (HARNESS + SIGN + "--server a.broker.example --sni b.broker.example", True),
    (HARNESS + SIGN + "--server a.broker.example --sni other.example", False),
    (HARNESS + SIGN + "--server a.broker.example --sni 192.0.2.1", False),
    (HARNESS + "--operation export aliyun-iot:a1TEST1/harness-1", False),
    ("--host a.spokes.example " + LOAD, True),
    ("--host b.example --host A.spokes.example " + LOAD, True),
    ("--host spokes.example " + LOAD, False),
    ("--host a.spokes.example --operation export aliyun-iot:a1TEST1/x", False),
])
def test_a_decision_is_explained(machine, policy, text, allowed):
    done = explain(machine, policy, text)
    assert done.returncode == (0 if allowed else 3), done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == ("allow" if allowed else "deny")


def test_an_explanation_names_the_rules(machine, policy):
    done = explain(machine, policy, HARNESS + LOAD)
    assert done.stdout.splitlines()[1:] == [
        f"decided by: allow harness ({policy}:4), reason: QA-1234",
        f"matches: allow harness ({policy}:4), reason: QA-1234",
        f"would count: limit pace ({policy}:26)"]
    done = explain(machine, policy, HARNESS + "--operation export aliyun-iot:a1TEST1/harness-1")
    assert f"decided by: deny no-export ({policy}:15)" in done.stdout
    assert "a rule that denies wins over every rule that allows" in done.stdout
    assert "would allow it" not in done.stdout
    done = explain(machine, policy, HARNESS.replace("harness@", "other@") + LOAD)
    assert "decided by: no rule allows it" in done.stdout
    assert "nearly matches: allow harness" in done.stdout
    assert "what does not match: units" in done.stdout


@pytest.mark.parametrize("text", [
    "--user root " + LOAD,
    "--user '#4711' --unit a.service " + LOAD,
    "--user unknown --socket main " + LOAD,
    "--user root --container yes " + LOAD,
    "--user root --container unknown --operation sign aliyun-iot:a1b/c?instance=iot-1",
    "--user root --operation sign --usage tls-client aliyun-iot:a1b/c",
    "--user root " + SIGN + "--server a.example --server ::1 --sni b.example",
    "--user root " + SIGN + "--server '*.example' --server 192.0.2.7",
    "--host b.example " + LOAD,
])
def test_the_lines_that_an_explanation_prints_allow_it(machine, policy, text):
    done = explain(machine, policy, text)
    assert done.returncode == 3, done.stdout + done.stderr
    lines = done.stdout.partition("these lines would allow it:\n")[2]
    assert lines.startswith("  [rule/NAME]\n")
    added = "".join(line[2:] + "\n" for line in lines.splitlines() if line.startswith("  "))
    policy.write_text(POLICY + added)
    done = explain(machine, policy, text)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", [
    LOAD,
    "--user root --host a.example " + LOAD,
    "--user no-such-user " + LOAD,
    "--user root --group no-such-group " + LOAD,
    "--user root --user root " + LOAD,
    "--user root --container no " + LOAD,
    "--host a.example --unit a.service " + LOAD,
    "--host 192.0.2.1 " + LOAD,
    "--user root --operation reload " + URI,
    "--user root --operation load",
    "--user root --operation load iot:a/b",
    "--user root --operation load aliyun-iot:a/b aliyun-iot:a/b",
    "--user root --usage tls-client " + LOAD,
    "--user root --operation sign --usage tls-server " + URI,
    "--user root --operation sign --tls 1.2 " + URI,
    "--user root --operation sign --sni a.example " + URI,
    "--user root --operation sign --usage tls-client --tls 1.1 " + URI,
    "--user root --at 2026-01-01 " + LOAD,
    "--user root --color red " + LOAD,
    "--user root --operation load " + URI + " --unit",
])
def test_wrong_use_of_explain_is_an_error(machine, policy, text):
    done = explain(machine, policy, text)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("aliyun-iot: policy explain: ")
    assert done.stdout == ""


@pytest.mark.parametrize("who", ["--user '#4711' --group '#65534'", "--user _apt"])
def test_an_explanation_knows_the_overflow_group_as_the_agent_does(machine, policy, who):
    """The primary group of Debian's user _apt is the overflow group."""
    policy.write_text(HEAD + "[rule/a]\neffect = allow\nusers = *\ndevices = */*\n"
                      "operations = load\n[rule/b]\neffect = deny\ngroups = #3000\n"
                      "devices = */*\noperations = load\n")
    assert pwd.getpwnam("_apt").pw_gid == 65534
    done = explain(machine, policy, f"{who} {LOAD}")
    assert (done.returncode, done.stdout.splitlines()[0]) == (3, "deny"), done.stderr


def test_an_explanation_by_a_broken_policy_fails(machine, policy):
    policy.write_text(POLICY + "oops\n")
    done = explain(machine, policy, HARNESS + LOAD)
    assert done.returncode == 1
    assert f"{policy}:31: " in done.stderr


# Check.

def check(machine, path, *before):
    return machine.run(*before, COMMAND, "policy", "check", path)


def test_the_sample_is_good(machine):
    path = machine.directory / "policy.conf"
    text = (ROOT / "conf" / "policy.conf").read_text()
    for content in (text, re.sub(r"(?m)^# (\[rule|[a-z-]+ = )", r"\1", text).replace(
            "users = harness", "users = daemon")):
        path.write_text(content)
        done = check(machine, path)
        assert done.returncode == 0, done.stderr
    assert "3 rules" in done.stdout


def test_a_check_tells_all_problems_at_once(machine, policy):
    folder = machine.directory / "policy.d"
    folder.mkdir()
    (folder / "10.conf").write_text("[rule/a]\neffect = deny\ndevices = a\noperations = list\n")
    policy.write_text(POLICY + "what is this\n[other]\n")
    done = check(machine, policy)
    assert done.returncode == 1
    assert re.findall(r"(?m)^.*?([\w.]+:\d+): ", done.stderr) == [
        "policy.conf:31", "policy.conf:32", "10.conf:3", "10.conf:4"]


@needs_root
def test_a_check_judges_owner_and_mode_for_the_caller(machine, policy):
    os.chown(policy, 2001, 2001)
    assert "neither root nor" in check(machine, policy).stderr
    assert check(machine, policy, *as_user(2001)).returncode == 0
    policy.chmod(0o664)
    assert "others than its owner may write" in check(machine, policy, *as_user(2001)).stderr


def test_the_usual_policy_is_checked_without_a_name(machine):
    if os.path.exists("/etc/aliyun-iot/policy.conf"):
        pytest.skip("there is one")
    done = machine.run(COMMAND, "policy", "check")
    assert done.returncode == 1
    assert "/etc/aliyun-iot/policy.conf: No such file" in done.stderr


@needs_root
def test_a_check_warns_of_what_cannot_be_told_here(machine, policy):
    policy.write_text(HEAD + "[rule/a]\neffect = allow\nunits = a.service\ndevices = */*\n"
                      "operations = load\n")
    assert "warning" not in check(machine, policy).stdout
    done = check(machine, policy, "unshare", "--cgroup")
    assert done.returncode == 0, done.stderr
    assert f"{policy}:3: warning: rule a: units cannot be told here" in done.stdout


# Test files.

def test_a_test_file_passes_if_every_line_does(machine, policy):
    cases = machine.directory / "cases"
    where = f"--policy {policy} "
    cases.write_text(f"allow {where}--user daemon --unit harness@1.service {LOAD}\n\n"
                     f"  deny\t{where}--user root {LOAD}  \r\n")
    done = machine.run(COMMAND, "policy", "test", cases)
    assert (done.returncode, done.stdout) == (0, "2 of 2 cases passed\n"), done.stderr
    os.chown(policy, 2001, 2001)
    policy.chmod(0o666)
    assert machine.run(COMMAND, "policy", "test", cases).returncode == 0


@pytest.mark.parametrize("line, problem", [
    ("allow --user root " + LOAD, "allow was expected, and it is deny"),
    ("deny --user daemon --unit harness@1.service " + LOAD, "deny was expected, and it is allow"),
    ("# a comment", "a line begins with allow or deny"),
    ("allow --user root", "--operation takes"),
])
def test_a_test_file_fails_by_one_line(machine, policy, line, problem):
    cases = machine.directory / "cases"
    first = f"deny --policy {policy} --user root {LOAD}\n"
    cases.write_text(first + line.replace("--user", f"--policy {policy} --user") + "\n")
    done = machine.run(COMMAND, "policy", "test", cases)
    assert (done.returncode, done.stdout) == (1, "1 of 2 cases passed\n")
    assert f"{cases}:2: {problem}" in done.stderr


# Grants.

def show(machine):
    done = machine.run(*as_user(2001), COMMAND, "show", URI)
    assert done.returncode == 0 or " may not load " in done.stderr, done.stderr
    return done.returncode == 0


def grant(machine, agent, **options):
    options = {"--user": "#2001", "--devices": f"{PRODUCT}/*", "--operations": "load",
               "--for": "2h", "--reason": "QA-1", **options}
    return machine.run(COMMAND, "policy", "grant", "--policy", agent.policy,
                       *(word for pair in options.items() for word in pair))


@needs_root
def test_a_grant_counts_until_it_is_revoked(machine):
    agent = machine.use_agent(policy=HEAD + "[rule/none]\neffect = deny\nusers = #2002\n"
                              "devices = */*\noperations = export\n")
    assert not show(machine)
    done = grant(machine, agent)
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    path = agent.folder / "policy.d" / f"{name}.conf"
    assert path.stat().st_mode & 0o777 == 0o644
    assert show(machine)
    done = machine.run(COMMAND, "policy", "revoke", "--policy", agent.policy, name)
    assert done.returncode == 0, done.stderr
    assert not path.exists()
    assert not show(machine)


@needs_root
def test_a_grant_ends_by_itself(machine):
    agent = machine.use_agent(policy=HEAD + "[rule/none]\neffect = deny\nusers = #2002\n"
                              "devices = */*\noperations = export\n")
    assert grant(machine, agent, **{"--for": "2s"}).returncode == 0
    end = time.monotonic() + PATIENCE_S
    while show(machine):
        assert time.monotonic() < end


@needs_root
def test_a_refused_programs_error_leads_to_a_rule_that_allows_it(machine):
    """What the administrator does: run the command of the error, and add its lines."""
    agent = machine.use_agent(policy=HEAD + "[rule/none]\neffect = deny\nusers = #2002\n"
                              "devices = */*\noperations = export\n")
    done = machine.run(*as_user(2001), COMMAND, "show", URI)
    command = done.stderr.partition("ask for a rule: aliyun-iot policy explain ")[2]
    done = explain(machine, agent.policy, command)
    assert done.stdout.startswith("deny\n"), done.stderr
    lines = done.stdout.partition("these lines would allow it:\n")[2]
    with agent.policy.open("a") as file:
        file.write("\n".join(line.strip() for line in lines.splitlines()) + "\n")
    assert agent.ask(operation="reload")["ok"]
    assert show(machine)


@needs_root
@pytest.mark.parametrize("option, value, problem", [
    ("--user", "no-such-user", "no such user"),
    ("--user", "*", None),
    ("--devices", "*", "PRODUCT_KEY/DEVICE_NAME"),
    ("--operations", "list", "no such operation"),
    ("--for", "2", "--for takes"),
    ("--for", "0h", "--for takes"),
    ("--for", "367d", "--for takes"),
    ("--reason", "a\nb = c", "line break"),
])
def test_a_grant_that_makes_no_sense_leaves_nothing_behind(machine, option, value, problem):
    agent = machine.use_agent(policy=HEAD + "[rule/none]\neffect = deny\nusers = #2002\n"
                              "devices = */*\noperations = export\n")
    done = grant(machine, agent, **{option: value})
    if problem:
        assert done.returncode in (1, 2)
        assert problem in done.stderr
        folder = agent.folder / "policy.d"
        assert not folder.exists() or [*folder.iterdir()] == []
        assert agent.ask(operation="reload")["ok"]
    else:
        assert done.returncode == 0, done.stderr


def test_a_grant_tells_if_no_agent_read_it(machine, policy):
    done = machine.run(COMMAND, "policy", "grant", "--policy", policy, "--user", "daemon",
                       "--devices", "a/b", "--operations", "load", "--for", "1h", "--reason", "x")
    assert done.returncode == 1
    assert "the rule was written, but the agent did not read it" in done.stderr
    name = done.stdout.strip()
    assert pwd.getpwnam("daemon").pw_name in (
        machine.directory / "policy.d" / f"{name}.conf").read_text()
    for wrong in ("", "../x", "policy", "grant-..", "grant-a/b"):
        done = machine.run(COMMAND, "policy", "revoke", "--policy", policy, wrong)
        assert done.returncode == 2
