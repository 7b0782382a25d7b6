# SPDX-License-Identifier: Apache-2.0
"""The agent's metrics, by its operation and as a file."""
import hashlib
import re
import time

import pytest

from machine import COMMAND, PATIENCE_S, PRODUCT, ROOT, THROUGH_AGENT

URI = f"aliyun-iot:{PRODUCT}/device-1"
MAN = (ROOT / "conf" / "man" / "agent.conf.5").read_text()
RULES = (ROOT / "conf" / "prometheus" / "aliyun-iot-agent.rules.yml").read_text()

pytestmark = pytest.mark.skipif(THROUGH_AGENT, reason="each test here starts agents of its own")


def parse(text):
    """{name with labels: value}; every metric has help and type before it."""
    known, found = set(), {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            known.add(line.split()[2])
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            base = re.sub(r"_(bucket|sum|count)$", "", name.partition("{")[0])
            assert base in known or name.partition("{")[0] in known, name
            found[name.replace("aliyun_iot_agent_", "")] = float(value)
    return found


def metrics(machine):
    done = machine.run(COMMAND, "agent", "metrics")
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def test_metrics_count_what_the_agent_did(machine):
    agent = machine.use_agent()
    assert machine.run(COMMAND, "show", URI).returncode == 0
    assert machine.run(COMMAND, "show", URI).returncode == 0
    assert machine.run(COMMAND, "show", f"aliyun-iot:{PRODUCT}/no-such").returncode == 1
    found = metrics(machine)
    assert found['requests_total{operation="identity",decision="allow"}'] == 3
    assert found['requests_total{operation="identity",decision="deny"}'] == 0
    assert found['failures_total{reason="NOT_FOUND"}'] == 1
    assert found["cache_hits_total"] == 1 and found["cache_misses_total"] == 1
    assert found["calls_total"] == 2 and found["identities"] == 1
    assert found['request_duration_seconds_count{operation="identity"}'] == 3
    assert found['request_duration_seconds_bucket{operation="identity",le="+Inf"}'] == 3
    assert found["next_expiry_timestamp_seconds"] > time.time()
    assert found["audit_on"] == 0 and found["reload_failed"] == 0
    assert found['policy_info{sha256=""}'] == 1
    buckets = [value for name, value in found.items()
               if name.startswith('request_duration_seconds_bucket{operation="identity"')]
    assert buckets == sorted(buckets)
    agent.settings.write_text("oops")
    assert not agent.ask(operation="reload")["ok"]
    assert metrics(machine)["reload_failed"] == 1


def test_metrics_name_the_policy(machine):
    agent = machine.use_agent(policy="[policy]\nversion = 1\n[rule/a]\neffect = deny\n"
                              "devices = */*\noperations = load\n")
    found = metrics(machine)
    digest = hashlib.sha256(agent.policy.read_bytes()).hexdigest()
    assert found[f'policy_info{{sha256="{digest}"}}'] == 1
    assert found["policy_rules"] == 1
    assert abs(found["policy_loaded_timestamp_seconds"] - time.time()) < 24 * 3600
    machine.run(COMMAND, "show", URI)
    assert metrics(machine)['requests_total{operation="identity",decision="deny"}'] == 1


def test_a_file_of_metrics_is_replaced_as_a_whole(machine):
    machine.write_settings(metrics="file = agent.prom")
    agent = machine.use_agent()
    path = agent.folder / "agent.prom"
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert parse(path.read_text())["identities"] == 0
    assert path.stat().st_mode & 0o777 == 0o644
    assert not (agent.folder / "agent.prom.new").exists()


def test_a_file_of_metrics_that_cannot_be_written_is_told_once(machine):
    machine.write_settings(metrics="file = /no/such/folder/agent.prom")
    agent = machine.use_agent()
    end = time.monotonic() + PATIENCE_S
    while "metrics file /no/such/folder/agent.prom: No such file" not in agent.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert machine.run(COMMAND, "show", URI).returncode == 0


def test_the_alerts_and_the_man_page_name_metrics_that_exist(machine):
    machine.use_agent()
    names = {name.partition("{")[0] for name in metrics(machine)} | {"failures_total"}
    assert {*re.findall(r"aliyun_iot_agent_(\w+)", RULES)} <= names
    listed = MAN.partition(".Ss Metrics\n")[2].partition("\n.Sh ")[0]
    described = {name for names in re.findall(r"(?m)^\.It Cm (.+)", listed)
                 for name in names.split(" , ")}
    assert described == {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
