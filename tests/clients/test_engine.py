# SPDX-License-Identifier: Apache-2.0
"""The engine's key ids, and the ways in which an openssl.cnf may or may not name it."""
import subprocess

import pytest

from machine import ENGINE, MODULE, PRODUCT


@pytest.fixture
def load_key(machine):
    def load(key_id):
        return machine.run("openssl", "pkey", "-pubout", "-engine", "aliyun-iot", "-inform",
                           "engine", "-in", key_id)
    return load


def public_key(machine, device):
    path = machine.directory / "certificate.pem"
    path.write_text(machine.cloud.control("GET", f"/device/{PRODUCT}/{device}")["certificate"])
    return machine.run("openssl", "x509", "-noout", "-pubkey", "-in", path).stdout


@pytest.mark.parametrize("key_id", ["aliyun-iot:{}", "aliyun-iot://{}", "{}", "//{}"])
def test_a_device_is_named_by_a_uri_or_by_what_programs_leave_of_one(engine, machine, load_key,
                                                                    key_id):
    done = load_key(key_id.format(f"{PRODUCT}/device-1"))
    assert done.stdout == public_key(machine, "device-1"), done.stderr


def test_a_uri_is_not_shadowed_by_a_file_of_that_name(engine, machine, load_key):
    folder = machine.directory / f"aliyun-iot:{PRODUCT}"
    folder.mkdir()
    (folder / "device-1").write_text("no key")
    done = load_key(f"aliyun-iot:{PRODUCT}/device-1")
    assert done.stdout == public_key(machine, "device-1"), done.stderr


def test_a_file_that_exists_is_meant_where_a_key_id_is_no_uri(engine, machine, load_key):
    folder = machine.directory / PRODUCT
    folder.mkdir()
    machine.identity_file(f"aliyun-iot://{PRODUCT}/device-2").rename(folder / "device-1")
    done = load_key(f"{PRODUCT}/device-1")
    assert done.stdout == public_key(machine, "device-2"), done.stderr


CNF = """\
openssl_conf = openssl_init
[openssl_init]
{sections}
[engines]
aliyun-iot = engine_section
[engine_section]
dynamic_path = {engine}
init = {init}
[providers]
default = default_section
other-name = provider_section
[default_section]
activate = 1
[provider_section]
module = {module}
activate = 1
"""


@pytest.mark.parametrize("sections, init", [
    ("providers = providers", 0), ("engines = engines", 0), ("engines = engines", 1),
    ("engines = engines\nproviders = providers", 1)])
def test_an_openssl_cnf_may_name_engine_or_provider_or_both(engine, machine, load_key, sections,
                                                            init):
    cnf = machine.directory / "engine.cnf"
    cnf.write_text(CNF.format(sections=sections, init=init, engine=ENGINE, module=MODULE))
    machine.environment["OPENSSL_CONF"] = str(cnf)
    # What openssl.cnf names is found by that alone.
    if "engines" in sections:
        del machine.environment["OPENSSL_ENGINES"]
    if "providers" in sections:
        del machine.environment["OPENSSL_MODULES"]
    done = load_key(f"{PRODUCT}/device-1")
    assert done.stdout == public_key(machine, "device-1"), done.stderr
    assert len(machine.cloud.calls()) == 1


def test_the_module_has_no_symbols_but_what_libcrypto_looks_for(engine):
    symbols = subprocess.run(["nm", "--dynamic", "--defined-only", ENGINE], capture_output=True,
                             text=True, check=True).stdout
    assert sorted(line.split()[-1] for line in symbols.splitlines()) == ["bind_engine", "v_check"]
