# SPDX-License-Identifier: Apache-2.0
"""Real programs connect with mutual TLS as a device that a URI names.

A test that stands for a row of README.md's table of clients bears the row's name,
@pytest.mark.row(program, how), and the summary of a run says what became of each row. A test that
passes because the program cannot do it says why: row(program, how, cannot=why).
"""
import pytest

import clients
from machine import ENGINE


@pytest.fixture
def device(machine, cloud, server_certificate):
    return clients.Device(machine, cloud, server_certificate / "ca.pem")


@pytest.fixture
def engine(machine):
    """The engine, found by programs without an openssl.cnf."""
    if not ENGINE.exists():
        pytest.skip("this OpenSSL has no engines")
    del machine.environment["OPENSSL_CONF"]
    machine.environment.update(clients.ENGINE_ENVIRONMENT)
    if machine.agent:
        # No openssl.cnf can say that PEM identity files may stand for keys in the agent.
        machine.environment["ALIYUN_IOT_AGENT"] = str(machine.agent.socket)


# What became of each row: (program, how): "passed", or why not.
_rows = {}


def pytest_configure(config):
    config.addinivalue_line("markers", "row(program, how, cannot=why): of the table of clients")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    marker = item.get_closest_marker("row")
    if not marker or (report.when != "call" and report.passed):
        return
    if report.skipped:
        outcome = report.longrepr[2].removeprefix("Skipped: ")
    else:
        outcome = report.outcome
        if report.passed and "cannot" in marker.kwargs:
            outcome = f"cannot: {marker.kwargs['cannot']}"
    if _rows.get(marker.args, "passed") == "passed":
        _rows[marker.args] = outcome


def pytest_terminal_summary(terminalreporter):
    if not _rows:
        return
    terminalreporter.section("clients")
    for (program, how), outcome in sorted(_rows.items()):
        version = clients.version_of(program) or "?"
        terminalreporter.write_line(f"| {program} | {version} | {how} | {outcome} |")
