# SPDX-License-Identifier: Apache-2.0
"""Many devices, many threads, many processes, against an account's quota."""
import signal
import subprocess
import time

from machine import BUILD, PATIENCE_S

FLEET = BUILD / "tests" / "programs" / "fleet"
FORKER = BUILD / "tests" / "programs" / "forker"
PRODUCT = "a1X509rsa00"


def uris(first, count):
    return [f"aliyun-iot://{PRODUCT}/harness-{number}" for number in range(first, first + count)]


def start_fleet(machine, threads, wanted):
    process = machine.start(FLEET, threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    process.stdin.write("\n".join(wanted) + "\n")
    process.stdin.close()
    process.stdin = None
    return process


def results_of(process, timeout=PATIENCE_S):
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return dict(line.split(" ", 1) for line in output.splitlines())


def test_64_threads_that_want_one_device_make_one_call(machine, cloud):
    wanted = uris(1, 1)
    results = start_fleet(machine, 64, wanted * 640).communicate(timeout=PATIENCE_S)[0].splitlines()
    assert len(results) == 640
    assert set(results) == {f"{wanted[0]} {cloud.serial(PRODUCT, 'harness-1')}"}
    assert len(cloud.calls()) == 1


def test_processes_share_one_queue_and_fetch_each_device_once(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 100", trace="level = off")
    # The certificates exist already, as in the real cloud: issuing them is no part of the fetch.
    serials = {uri: str(cloud.serial(PRODUCT, uri.rpartition("/")[2])) for uri in uris(0, 400)}
    begun = time.monotonic()
    processes = [start_fleet(machine, 8, uris(50 * number, 50)) for number in range(8)]
    results = {}
    for process in processes:
        results.update(results_of(process))
    # 400 places at 100 a second. A slow machine takes longer; a queue for each process, less.
    assert time.monotonic() - begun >= 3.99
    assert results == serials
    assert len(cloud.calls()) == 400


def test_a_process_killed_in_the_queue_holds_up_nobody(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 20")
    victim = start_fleet(machine, 32, uris(0, 200))
    while not cloud.calls():
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    results = results_of(start_fleet(machine, 4, uris(1000, 10)))
    assert results == {uri: str(cloud.serial(PRODUCT, uri.rpartition("/")[2]))
                       for uri in uris(1000, 10)}


def test_a_queue_longer_than_the_deadline_is_an_error_that_says_how_long(machine):
    # The first place is free, the second comes 10 seconds later.
    machine.write_settings("timeout = 9s", quota="rate = 0.1")
    results = results_of(start_fleet(machine, 16, uris(0, 16)))
    assert any("queue for the account's quota" in result for result in results.values())


def test_calls_that_the_cloud_throttles_are_tried_again(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 100")
    cloud.fault({"code": "Throttling.User", "retry_after": 50}, times=2)
    results = results_of(start_fleet(machine, 1, uris(0, 1)))
    assert not any(result.startswith("error") for result in results.values()), results
    assert [call.get("code") for call in cloud.calls()] == ["Throttling.User"] * 2 + [None]


def test_workers_forked_before_during_and_after_a_fetch_use_and_load_identities(machine, cloud):
    machine.write_settings("timeout = 5m", quota="rate = 500")
    # No call is answered before the parent and each worker have made theirs, so the parent's is
    # under way while all workers are forked.
    cloud.fault({"together": 9}, device="device-2")
    done = machine.run(FORKER, f"aliyun-iot://{PRODUCT}/device-1",
                       f"aliyun-iot://{PRODUCT}/device-2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "0 failures\n"
    # The first was inherited; the second was fetched by the parent and each worker.
    assert len(cloud.calls("device-1")) == 1
    assert len(cloud.calls("device-2")) == 9
    # No worker spoke on its parent's connection.
    connections = [call["connection"] for call in cloud.calls("device-2")]
    assert len(set(connections)) == 9
