# SPDX-License-Identifier: Apache-2.0
"""The record of what the agent decided, and that nobody changes it unseen."""
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from machine import COMMAND, PATIENCE_S, PRODUCT, PRODUCTS, THROUGH_AGENT
from principals import as_user, needs_root

DEVICE = f"{PRODUCT}/device-1"
URI = f"aliyun-iot:{DEVICE}"
POLICY = """[policy]
version = 1
[rule/harness]
effect = allow
users = #2001
devices = */*
operations = load, sign
reason = QA-1
[rule/pace]
effect = limit
devices = */device-2
operations = load
rate = 1/h
"""

pytestmark = [needs_root,
              pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")]


def use_agent(machine, *options, audit="", **more):
    machine.write_settings(audit=f"file = audit.log\n{audit}")
    more.setdefault("policy", POLICY)
    agent = machine.use_agent(*options, **more)
    agent.audit = agent.folder / "audit.log"
    return agent


def records(agent):
    return [json.loads(line) for line in agent.audit.read_bytes().splitlines()]


def show(machine, uid=2001, uri=URI):
    return machine.run(*as_user(uid), COMMAND, "show", uri)


def load(agent, uid=0, device=DEVICE, times=1):
    """The answers, of a process with that uid."""
    request = json.dumps({"version": 1, "operation": "identity", "uri": f"aliyun-iot:{device}",
                          "timeout": 60000})
    program = ("import os, socket, sys\n"
               f"os.setgid({uid}); os.setuid({uid})\n"
               "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
               f"s.connect({str(agent.socket)!r})\n"
               f"for _ in range({times}):\n"
               f"    s.send({request!r}.encode()); last = s.recv(1 << 20)\n"
               "print(last.decode())")
    done = subprocess.run(["/usr/bin/python3", "-c", program], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=True)
    return json.loads(done.stdout)


def verify(machine, *arguments):
    return machine.run(COMMAND, "audit", "verify", *arguments)


def restart(agent):
    agent.process.terminate()
    assert agent.process.wait() == 0
    agent.start()


def test_a_decision_is_one_line_with_all_that_led_to_it(machine):
    agent = use_agent(machine)
    assert show(machine).returncode == 0
    record = records(agent)[-1]
    policy_hash = hashlib.sha256(agent.policy.read_bytes()).hexdigest()
    expected = {"operation": "load", "device": DEVICE, "uid": 2001, "gids": [2001],
                "socket": "main", "decision": "allow", "rule": "harness", "reason": "QA-1",
                "policy": policy_hash, "cache": False}
    assert expected.items() <= record.items()
    assert record["serial_number"] and record["request_id"] and record["latency_us"] > 0
    assert show(machine).returncode == 0
    assert records(agent)[-1]["cache"] is True


def test_a_denial_and_a_limit_are_recorded_with_what_was_answered(machine):
    agent = use_agent(machine)
    assert show(machine, 2002).returncode == 1
    assert {"decision": "deny", "uid": 2002, "error": "DENIED"}.items() <= \
        records(agent)[-1].items()
    assert "rule" not in records(agent)[-1]
    for _ in range(2):
        show(machine, uri=f"aliyun-iot:{PRODUCT}/device-2")
    assert {"decision": "limited", "rule": "pace", "limit": "pace", "error": "LIMITED"}.items() \
        <= records(agent)[-1].items()
    assert agent.ask(operation="list")["ok"]
    assert {"operation": "list", "decision": "allow"}.items() <= records(agent)[-1].items()


def test_a_failure_of_the_cloud_is_recorded(machine):
    agent = use_agent(machine)
    show(machine, uri=f"aliyun-iot:{PRODUCT}/no-such-device")
    assert {"decision": "allow", "error": "NOT_FOUND"}.items() <= records(agent)[-1].items()


def test_a_signature_is_recorded_by_the_hash_of_what_was_signed(machine):
    agent = use_agent(machine)
    message = machine.directory / "message"
    message.write_bytes(b"a message")
    done = machine.run(*as_user(2001), "openssl", "pkeyutl", "-sign", "-rawin", "-digest", "sha256",
                       "-inkey", URI, "-in", message, "-hexdump")
    assert done.returncode == 0, done.stderr
    record = records(agent)[-1]
    assert record["operation"] == "sign"
    assert record["signed"] == hashlib.sha256(b"a message").hexdigest()
    assert record["usage"] == "other"


def test_no_secret_is_in_the_log(machine):
    policy = POLICY.replace("load, sign", "load, sign, export")
    agent = use_agent(machine, policy=policy)
    texts = []

    def ask_all():
        os.setgid(2001)
        os.setuid(2001)
        for product in PRODUCTS.values():
            uri = f"aliyun-iot:{product}/device-1"
            identity = agent.ask(operation="identity", uri=uri, timeout=60000)
            exported = agent.ask(operation="export", uri=uri, timeout=60000)
            signed = agent.ask(operation="sign", uri=uri, timeout=60000, key=identity["key"],
                               scheme=identity["schemes"][0],
                               message=base64.b64encode(b"secret message").decode())
            texts.append([exported["pkcs8"], signed["signature"]])
        return texts

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with open(writer, "w", encoding="ascii") as pipe:
            json.dump(ask_all(), pipe)
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="ascii") as pipe:
        texts = json.load(pipe)
    os.waitpid(child, 0)
    log = agent.audit.read_text()
    for pair in texts:
        for text in pair:
            secret = base64.b64decode(text)
            for form in (text[:40], secret[-40:].hex(), base64.b64encode(secret[-39:]).decode()):
                assert form not in log
    assert "secret message" not in log
    assert machine.cloud.information["access_key_secret"] not in log
    assert agent.audit.stat().st_mode & 0o777 == 0o600


# The chain.

def test_a_log_is_whole_over_restarts(machine):
    agent = use_agent(machine)
    for _ in range(3):
        show(machine)
        restart(agent)
    done = verify(machine, agent.audit)
    assert done.returncode == 0, done.stderr
    assert [record["seq"] for record in records(agent)] == [*range(1, len(records(agent)) + 1)]


def changed(lines):
    """Ways to change a log of six lines, and what is said of the first line that does not fit."""
    def with_line(index, line):
        return lines[:index] + [line] + lines[index + 1:]

    yield "changed", with_line(2, lines[2].replace(b'"allow"', b'"deny"')), ":4: "
    yield "removed", lines[:2] + lines[3:], ":3: "
    yield "moved", [lines[0], lines[2], lines[1], *lines[3:]], ":2: "
    yield "doubled", lines[:3] + lines[2:], ":4: "
    yield "added", lines[:3] + [b'{"time":"x"}'] + lines[3:], ":5: "
    yield "emptied", with_line(2, b""), ":4: "


def test_a_log_that_was_changed_is_not_whole(machine):
    agent = use_agent(machine)
    for _ in range(6):
        assert show(machine).returncode == 0
    agent.process.terminate()
    agent.process.wait()
    lines = agent.audit.read_bytes().splitlines()[-6:]
    for name, other, where in changed(lines):
        log = machine.directory / name
        log.write_bytes(b"\n".join(other) + b"\n")
        done = verify(machine, log)
        assert done.returncode == 1, name
        assert f"{log}{where}" in done.stderr, (name, done.stderr)


@contextlib.contextmanager
def syslog_of(machine):
    """Words to start a program with, whose /dev/log is a socket here; and its messages."""
    path = machine.directory / "log"
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    folder = machine.directory / "dev"
    folder.mkdir()
    script = (f"mount -t tmpfs none {folder} && for name in null zero random urandom; do "
              f"touch {folder}/$name && mount --bind /dev/$name {folder}/$name || exit 1; done && "
              f"ln -s {path} {folder}/log && mount --rbind {folder} /dev && exec \"$@\"")
    if len(str(path)) > 100:
        pytest.skip("the path of a socket would be too long")

    def messages():
        receiver.setblocking(False)
        received = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(receiver.recv(1 << 16).decode())
        return received

    yield ["unshare", "--mount", "sh", "-c", script, "sh"], messages
    receiver.close()


def test_a_cut_end_is_found_with_the_heads_that_syslog_has(machine):
    with syslog_of(machine) as (words, messages):
        agent = use_agent(machine, *words)
        for _ in range(3):
            assert show(machine).returncode == 0
        agent.process.terminate()
        agent.process.wait()
        heads = machine.directory / "heads"
        heads.write_text("\n".join(messages()) + "\n")
    assert "audit head seq=" in heads.read_text()
    done = verify(machine, "--heads", heads, agent.audit)
    assert done.returncode == 0, done.stderr
    lines = agent.audit.read_bytes().splitlines(keepends=True)
    agent.audit.write_bytes(b"".join(lines[:-1]))
    assert verify(machine, agent.audit).returncode == 0
    done = verify(machine, "--heads", heads, agent.audit)
    assert done.returncode == 1
    assert "the log was cut or changed" in done.stderr


def test_syslog_tells_that_a_reload_failed(machine):
    with syslog_of(machine) as (words, messages):
        agent = use_agent(machine, *words)
        agent.policy.write_text("oops\n")
        assert not agent.ask(operation="reload")["ok"]
        assert any("reload failed: the policy has" in message for message in messages())


def test_a_rotated_file_goes_on_with_the_chain(machine):
    agent = use_agent(machine)
    show(machine)
    old = agent.folder / "audit.log.1"
    agent.audit.rename(old)
    show(machine)
    assert not agent.audit.exists()
    agent.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + PATIENCE_S
    while not agent.audit.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    show(machine)
    done = verify(machine, old, agent.audit)
    assert done.returncode == 0, done.stderr
    done = verify(machine, agent.audit)
    assert done.returncode == 0 and "older lines are elsewhere" in done.stdout
    assert verify(machine, agent.audit, old).returncode == 1


def test_a_log_that_was_removed_begins_a_new_chain(machine):
    agent = use_agent(machine)
    show(machine)
    first = agent.audit.read_bytes()
    agent.audit.unlink()
    show(machine)
    assert records(agent)[0]["seq"] == 1
    assert records(agent)[0]["previous"] == 64 * "0"
    assert verify(machine, agent.audit).returncode == 0
    old = machine.directory / "old"
    old.write_bytes(first)
    done = verify(machine, old, agent.audit)
    assert done.returncode == 1
    assert "a new chain begins here" in done.stderr


@pytest.mark.parametrize("closed", [False, True])
def test_a_line_that_was_cut_by_a_crash_stays_and_is_named(machine, closed):
    agent = use_agent(machine)
    show(machine)
    agent.kill()
    fragment = b'{"time":"2026-11-27T08:00:00.000Z","seq":99,"oper'
    with agent.audit.open("ab") as log:
        log.write(fragment + (b"\n" if closed else b""))
    assert verify(machine, agent.audit).returncode == 1
    count = len(agent.audit.read_bytes().splitlines()) - 1
    agent.start()
    show(machine)
    lines = agent.audit.read_bytes().splitlines()
    assert lines[count] == fragment
    resume = json.loads(lines[count + 1])
    assert {*resume} == {"time", "seq", "operation", "previous"}
    assert resume["operation"] == "resume"
    assert resume["seq"] == count + 1
    assert resume["previous"] == hashlib.sha256(fragment).hexdigest()
    done = verify(machine, agent.audit)
    assert done.returncode == 0, done.stderr


def test_a_line_that_lacks_its_line_break_alone_is_whole(machine):
    agent = use_agent(machine)
    show(machine)
    agent.process.terminate()
    agent.process.wait()
    agent.audit.write_bytes(agent.audit.read_bytes()[:-1])
    agent.start()
    show(machine)
    assert "resume" not in agent.audit.read_text()
    done = verify(machine, agent.audit)
    assert done.returncode == 0, done.stderr


def test_a_log_that_does_not_fit_the_heads_of_syslog_is_refused(machine):
    agent = use_agent(machine)
    for _ in range(3):
        show(machine)
    agent.process.terminate()
    agent.process.wait()
    lines = agent.audit.read_bytes().splitlines(keepends=True)[-3:]
    digests = [hashlib.sha256(line[:-1]).hexdigest() for line in lines]
    seq = [json.loads(line)["seq"] for line in lines]
    log, heads = machine.directory / "log", machine.directory / "heads"
    log.write_bytes(b"".join(lines[1:]))

    def verify_with(number, digest):
        heads.write_text(f"x: audit head seq={number} sha256={digest}\n")
        return verify(machine, "--heads", heads, log)

    # The head before the first line, one in the log, and the last one.
    for index in range(3):
        done = verify_with(seq[index], digests[index])
        assert done.returncode == 0, done.stderr
    assert "is not the one before the first line" in verify_with(seq[0], "b" * 64).stderr
    assert "is missing" in verify_with(seq[1], "b" * 64).stderr
    assert "is missing" in verify_with(seq[2] + 1, "b" * 64).stderr
    assert "nothing proves them" in verify_with(seq[0] - 1, "b" * 64).stderr


def test_a_log_that_is_one_cut_line_begins_again(machine):
    agent = use_agent(machine)
    agent.kill()
    agent.audit.write_bytes(b'{"time":"2026')
    agent.start()
    show(machine)
    assert json.loads(agent.audit.read_bytes().splitlines()[1])["seq"] == 1
    assert verify(machine, agent.audit).returncode == 0


@contextlib.contextmanager
def small_disk(machine):
    folder = machine.directory / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)],
                          check=False)
    if done.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        machine.stop_agent()
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("required", ["yes", "no"])
@pytest.mark.parametrize("harm", ["full", "read-only"])
def test_what_cannot_be_recorded_is_refused_if_records_are_required(machine, required, harm):
    with small_disk(machine) as disk:
        machine.write_settings(audit=f"file = {disk}/audit.log\nrequired = {required}")
        agent = machine.use_agent(policy=POLICY)
        agent.audit = disk / "audit.log"
        before = load(agent, 2001)
        assert before["ok"]
        if harm == "full":
            (disk / "filler").write_bytes(b"")
            with contextlib.suppress(OSError), open(disk / "filler", "ab", buffering=0) as filler:
                while True:
                    filler.write(4096 * b"x")
            # The last page of the log has room.
            answers = [load(agent, 2001) for _ in range(20)]
            size = agent.audit.stat().st_size
        else:
            # A descriptor that is open for writing holds up a remount.
            agent.audit.rename(disk / "old")
            (disk / "audit.log").mkdir()
            (disk / "old").unlink()
            answers = [load(agent, 2001)]
        assert answers[-1].get("reason") == ("AUDIT" if required == "yes" else None)
        if harm == "full":
            assert agent.audit.read_bytes().endswith(b"\n")
            assert agent.audit.stat().st_size == size
            (disk / "filler").unlink()
        else:
            (disk / "audit.log").rmdir()
        assert load(agent, 2001)["ok"]
        lost = [record["count"] for record in records(agent) if record["operation"] == "lost"]
        # The line that counts may fit where a record does not.
        assert sum(lost) == sum(answer != before for answer in answers) or required == "no"
        assert sum(lost) >= 1
        assert verify(machine, agent.audit).returncode == 0


def broken(machine, prepare):
    agent = use_agent(machine)
    agent.process.terminate()
    agent.process.wait()
    prepare(agent)
    done = subprocess.run(agent.command, env=agent.environment, capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    return done.stderr


def replace_by(make):
    def prepare(agent):
        agent.audit.unlink()
        make(agent.audit)
    return prepare


@pytest.mark.parametrize("prepare, problem", [
    (replace_by(lambda path: path.symlink_to("other")), "it is a symbolic link"),
    (replace_by(os.mkfifo), "it is no regular file"),
    (replace_by(lambda path: path.write_text("Dear diary\n")), "it is no audit log"),
    (lambda agent: agent.settings.write_text(agent.settings.read_text().replace(
        "audit.log", "no/such/folder/audit.log")), "No such file or directory"),
    (lambda agent: agent.settings.write_text(agent.settings.read_text().replace(
        "file = audit.log", "required = yes")), "required = yes in section [audit] needs file"),
])
def test_an_agent_does_not_start_with_a_log_that_cannot_be_written(machine, prepare, problem):
    assert problem in broken(machine, prepare)


def test_two_agents_do_not_write_to_one_log(machine):
    agent = use_agent(machine)
    other = agent.folder / "other.conf"
    other.write_text(agent.settings.read_text().replace("[socket/main]\npath = ",
                                                        "[socket/main]\npath = /nowhere"))
    done = subprocess.run([*agent.command[:-1], str(other)], env=agent.environment,
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "another agent writes to it" in done.stderr


def test_many_denials_take_few_lines(machine):
    machine.write_settings()
    agent = use_agent(machine)
    before = len(records(agent))
    seconds = time.monotonic()
    assert load(agent, 2002, times=20000)["reason"] in ("DENIED", "LIMITED")
    seconds = time.monotonic() - seconds
    agent.process.terminate()
    agent.process.wait()
    new = records(agent)[before:]
    written = [record for record in new if record["operation"] == "load"]
    together = [record for record in new if record["operation"] == "refusals"]
    assert {record["uid"] for record in together} == {2002}
    # Ten at once, and ten a second.
    assert len(written) <= 10 * (seconds + 2)
    assert sum(record["count"] for record in together) + len(written) == 20000
    assert verify(machine, agent.audit).returncode == 0


def test_a_second_of_operations_has_a_limit_so_that_nobody_fills_the_disk(machine):
    machine.write_settings(limits="operations = 20", audit="file = audit.log")
    # A rule of that name counts for itself.
    agent = machine.use_agent(policy=POLICY + "[rule/operations]\neffect = limit\nusers = *\n"
                              "devices = */*\noperations = load\nrate = 1000000/h\n")
    agent.audit = agent.folder / "audit.log"
    assert load(agent, 2001, times=1000)["limit"] == "operations"
    agent.process.terminate()
    agent.process.wait()
    limited = [record for record in records(agent) if record["decision"] == "limited"]
    assert len(limited) < 500
    assert any(record["operation"] == "refusals" for record in limited)


# Show.

def test_show_prints_the_lines_that_fit(machine):
    agent = use_agent(machine)
    show(machine)
    show(machine, 2002)
    show(machine, uri=f"aliyun-iot:{PRODUCT}/device-2")

    def shown(*options):
        done = machine.run(COMMAND, "audit", "show", *options, agent.audit)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    assert [row[2:6] for row in shown("--device", f"{PRODUCT}/*")] == [
        ["allow", "load", DEVICE, "2001"], ["deny", "load", DEVICE, "2002"],
        ["allow", "load", f"{PRODUCT}/device-2", "2001"]]
    assert [row[5] for row in shown("--user", "#2002")] == ["2002"]
    assert shown("--since", "2199-01-01") == []
    assert shown("--until", "2026-01-01T00:00:00Z") == []
    assert len(shown("--since", "2026-01-01", "--until", "2199-01-01T00:00:00Z")) == 3
    for wrong in (["--device", "x"], ["--user", "no-such-user"], ["--user", "#x"], ["--since", "tomorrow"],
                  ["--color", "red"]):
        done = machine.run(COMMAND, "audit", "show", *wrong, agent.audit)
        assert done.returncode == 2
