# SPDX-License-Identifier: Apache-2.0
"""Many devices, many threads, many processes, against an account's quota."""
import signal
import subprocess
import time

import pytest

from machine import BUILD, sanitizer_environment

FLEET = BUILD / "tests" / "programs" / "fleet"
FORKER = BUILD / "tests" / "programs" / "forker"
PRODUCT = "a1X509rsa00"


@pytest.fixture
def fleet_machine(machine):
    """Its quota queue starts empty: the runtime folder is its own."""
    runtime = machine.directory / "runtime"
    runtime.mkdir(mode=0o700)
    machine.environment["XDG_RUNTIME_DIR"] = str(runtime)
    return machine


def uris(first, count):
    return [f"aliyun-iot://{PRODUCT}/harness-{number}" for number in range(first, first + count)]


def start_fleet(machine, threads, wanted):
    process = machine.start(FLEET, threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    process.stdin.write("\n".join(wanted) + "\n")
    process.stdin.close()
    process.stdin = None
    return process


def results_of(process, timeout=300):
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return dict(line.split(" ", 1) for line in output.splitlines())


def test_64_threads_that_want_one_device_make_one_call(fleet_machine, cloud):
    wanted = uris(1, 1)
    results = start_fleet(fleet_machine, 64, wanted * 640).communicate(timeout=60)[0].splitlines()
    assert len(results) == 640
    assert set(results) == {f"{wanted[0]} {cloud.serial(PRODUCT, 'harness-1')}"}
    assert len(cloud.calls()) == 1


@pytest.mark.skipif(bool(sanitizer_environment()), reason="a sanitizer delays what must be even")
def test_a_fleet_of_2000_devices_is_fetched_at_the_full_quota_without_a_throttled_call(
        fleet_machine, cloud):
    # A quarter below the limit: what a busy machine delays arrives closer together.
    rate = 150
    fleet_machine.write_settings("timeout = 60s", quota=f"rate = {rate}", trace="level = off")
    # The certificates exist already, as in the real cloud: issuing them is no part of the fetch.
    serials = {uri: str(cloud.serial(PRODUCT, uri.rpartition("/")[2])) for uri in uris(0, 2000)}
    cloud.control("POST", "/rate", {"rate": 200})
    begun = time.monotonic()
    processes = [start_fleet(fleet_machine, 8, uris(250 * number, 250)) for number in range(8)]
    results = {}
    for process in processes:
        results.update(results_of(process))
    elapsed = time.monotonic() - begun
    assert results == serials
    counts = cloud.control("GET", "/counts")
    assert counts["throttled"] == 0
    assert len(cloud.calls()) == 2000
    print(f"{2000 / elapsed:.1f} of {rate} calls a second: {2000 / elapsed / rate:.3f}")


def test_a_process_killed_in_the_queue_holds_up_nobody(fleet_machine, cloud):
    fleet_machine.write_settings("timeout = 60s", quota="rate = 20")
    victim = start_fleet(fleet_machine, 32, uris(0, 200))
    while not cloud.calls():
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    results = results_of(start_fleet(fleet_machine, 4, uris(1000, 10)))
    assert results == {uri: str(cloud.serial(PRODUCT, uri.rpartition("/")[2]))
                       for uri in uris(1000, 10)}


def test_a_queue_longer_than_the_deadline_is_an_error_that_says_how_long(fleet_machine):
    fleet_machine.write_settings("timeout = 2s", quota="rate = 0.1")
    results = results_of(start_fleet(fleet_machine, 16, uris(0, 16)))
    refused = [result for result in results.values() if result.startswith("error")]
    assert refused
    assert all("queue for the account's quota" in result for result in refused)


def test_calls_that_the_cloud_throttles_are_tried_again(fleet_machine, cloud):
    fleet_machine.write_settings("timeout = 30s", quota="rate = 100")
    cloud.fault({"code": "Throttling.User", "retry_after": 50}, times=2)
    results = results_of(start_fleet(fleet_machine, 1, uris(0, 1)))
    assert not any(result.startswith("error") for result in results.values()), results
    assert [call.get("code") for call in cloud.calls()] == ["Throttling.User"] * 2 + [None]


def test_workers_forked_before_during_and_after_a_fetch_use_and_load_identities(
        fleet_machine, cloud):
    fleet_machine.write_settings("timeout = 30s", quota="rate = 500")
    # The parent's call is under way while all workers are forked.
    cloud.fault({"delay": 1}, device="device-2")
    done = fleet_machine.run(FORKER, f"aliyun-iot://{PRODUCT}/device-1",
                             f"aliyun-iot://{PRODUCT}/device-2", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "0 failures\n"
    # The first was inherited; the second was fetched by the parent and each worker.
    assert len(cloud.calls("device-1")) == 1
    assert len(cloud.calls("device-2")) == 9
    # No worker spoke on its parent's connection.
    connections = [call["connection"] for call in cloud.calls("device-2")]
    assert len(set(connections)) == 9
