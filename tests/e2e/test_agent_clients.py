# SPDX-License-Identifier: Apache-2.0
"""Processes whose keys are in the agent: what they do to themselves, and what they hold."""
import base64
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest

from machine import (BUILD, COMMAND, PATIENCE_S, PRODUCT, PRODUCTS, THROUGH_AGENT, VALGRIND,
                     sanitizer_environment, secrets_in)

SIGNATORY = BUILD / "tests" / "programs" / "signatory"
CLOCK = BUILD / "tests" / "programs" / "clock.so"
URI = f"aliyun-iot://{PRODUCT}/device-1"
URIS = {name: f"aliyun-iot://{product}/device-1" for name, product in PRODUCTS.items()}

pytestmark = pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can do this to itself")


@pytest.fixture
def agent(machine):
    return machine.use_agent()


@pytest.mark.parametrize("name", URIS)
@pytest.mark.parametrize("way", ["around-forks", "after-closing-descriptors"])
def test_a_process_signs(machine, agent, name, way):
    done = machine.run(SIGNATORY, URIS[name], way)
    assert done.returncode == 0, done.stderr


def count_waiting(process):
    """How many of its threads are in poll()."""
    threads = pathlib.Path(f"/proc/{process.pid}/task")
    count = 0
    for path in threads.glob("*/syscall"):
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            count += path.read_text().startswith("7 ")
    return count


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of poll() is another one")
def test_a_child_that_is_forked_while_threads_wait_for_signatures_signs(machine, agent):
    process = machine.start(SIGNATORY, URI, "during-signatures", stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    with agent.stopped():
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + PATIENCE_S
        while count_waiting(process) < 4:
            assert process.poll() is None and time.monotonic() < end
        process.stdin.write("\n")
        process.stdin.flush()
    output = process.communicate()
    assert process.returncode == 0, output


@needs_root
def test_a_process_in_a_chroot_signs_by_the_connection_that_it_has(machine, agent):
    folder = machine.directory / "root"
    folder.mkdir()
    done = machine.run(SIGNATORY, URI, "after-chroot", folder)
    assert done.returncode == 0, done.stderr


@needs_root
def test_a_process_that_gave_up_root_is_seen_as_what_it_is_now(machine, agent):
    done = machine.run(SIGNATORY, URI, "after-setuid", "65533")
    assert done.returncode == 1
    assert "uid 65533 may not use this agent" in done.stderr


@pytest.mark.skipif("ALIYUN_IOT_SANITIZED" in os.environ, reason="the sanitizer does this here")
def test_a_process_ends_clean(machine, agent):
    done = machine.run(*VALGRIND, SIGNATORY, URI, "around-forks")
    assert done.returncode == 0, done.stderr


def test_signatures_around_kills_of_the_agent_are_right_or_an_error(machine, agent):
    """Each signature is verified by the program: one that is wrong would count as failed too."""
    process = machine.start(SIGNATORY, URI, "many-times", "1000", stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    output = []
    reader = threading.Thread(target=lambda: output.extend(process.communicate("\n")))
    reader.start()
    kills = 0
    while process.poll() is None:
        time.sleep(0.02)
        agent.kill()
        kills += 1
        agent.start()
    reader.join(PATIENCE_S)
    signed = re.fullmatch(r"(\d+) of 1000\n", output[0])
    assert signed and int(signed[1]) > 0 and kills > 0, output
    assert process.returncode == 0
    # Every failure has a line that says why.
    reasons = re.findall(r"Aliyun IoT: ([^:]+)", output[1])
    assert set(reasons) <= {"the agent cannot be used"}, output[1][:2000]


def test_clients_that_are_killed_while_they_sign_harm_nobody(machine, agent):
    other = machine.start(SIGNATORY, URI, "many-times", "2000", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert other.stdout.readline() == "ready\n"
    output = []
    reader = threading.Thread(target=lambda: output.extend(other.communicate("\n")))
    reader.start()
    for number in range(50):
        process = machine.start(SIGNATORY, URI, "many-times", "100000", stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        # So that each is killed at another moment.
        time.sleep(number / 5000)
        process.kill()
        process.communicate()
    reader.join(PATIENCE_S)
    assert output == ["2000 of 2000\n", ""] and other.returncode == 0
    end = time.monotonic() + PATIENCE_S
    while agent.ask(operation="status")["connections"] != 1:
        assert time.monotonic() < end


def test_a_socket_that_is_removed_while_in_use_costs_the_next_connection_alone(machine, agent):
    process = machine.start(SIGNATORY, URI, "many-times", "10", stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    agent.socket.unlink()
    assert process.communicate("\n")[0] == "10 of 10\n"
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1
    assert str(agent.socket) in done.stderr and "the socket is missing" in done.stderr
    agent.kill()
    agent.start()
    assert machine.run(COMMAND, "show", URI).returncode == 0


@pytest.mark.parametrize("days", [-4000, -1, 1, 40000])
def test_the_clock_of_the_agent_steps_while_identities_are_in_memory(machine, days):
    """No deadline depends on it. An identity whose certificate has ended by then is not used."""
    clock = machine.directory / "clock"
    clock.write_text("0")
    preload = " ".join(filter(None, [sanitizer_environment().get("LD_PRELOAD"), str(CLOCK)]))
    agent = machine.use_agent(environment={"LD_PRELOAD": preload, "CLOCK_OFFSET_S": str(clock)})
    process = machine.start(SIGNATORY, URI, "many-times", "10", stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    clock.write_text(str(days * 86400))
    assert agent.ask(operation="status")["ok"]
    output, errors = process.communicate("\n")
    if days == 40000:
        # It is fetched again, and refused.
        assert output == "0 of 10\n" and "expired" in errors, (output, errors)
    else:
        assert output == "10 of 10\n", errors
    clock.write_text("0")
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr


def private_numbers(agent):
    """d, p and q of the device's key, as bytes."""
    pkcs8 = base64.b64decode(agent.ask(operation="export", uri=URI, timeout=60000)["pkcs8"])
    text = subprocess.run(["openssl", "pkey", "-inform", "DER", "-text", "-noout"], input=pkcs8,
                          capture_output=True, check=True).stdout.decode()
    found = {}
    for name in ("privateExponent", "prime1", "prime2"):
        digits = re.search(name + r":\n((?: +[0-9a-f:]+\n)+)", text)[1]
        found[name] = bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
    return found


@pytest.mark.skipif(bool(sanitizer_environment()), reason="a sanitizer maps too much memory to search")
def test_a_process_that_signed_has_no_private_number_in_its_memory(machine):
    def numbers_in_a_process():
        process = machine.start(SIGNATORY, URI, "and-stay", stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        assert process.stdout.readline() == "signed\n"
        found = secrets_in(process, numbers)
        process.communicate()
        assert process.returncode == 0
        return found

    embedded = {**machine.environment}
    settings = machine.settings.read_text()
    numbers = private_numbers(machine.use_agent())
    assert numbers_in_a_process() == set()
    # The search finds what is there: without an agent, the process has them all.
    machine.environment = embedded
    machine.settings.write_text(settings)
    assert numbers_in_a_process() == set(numbers)


def test_a_process_that_is_killed_while_it_waits_leaves_nothing(machine, agent, cloud):
    cloud.fault({"silent": True})
    process = machine.start(SIGNATORY, f"aliyun-iot://{PRODUCT}/hanging", "and-stay")
    end = time.monotonic() + PATIENCE_S
    while agent.ask(operation="status")["requests"] != 2:
        assert time.monotonic() < end
    process.send_signal(signal.SIGKILL)
    process.wait()
    while agent.ask(operation="status")["requests"] != 1:
        assert time.monotonic() < end
