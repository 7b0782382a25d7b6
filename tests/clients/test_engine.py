# SPDX-License-Identifier: Apache-2.0
"""The engine's key ids, and the ways in which an openssl.cnf may or may not name it."""
import subprocess

import pytest

from machine import ENGINE, PRODUCT, openssl_cnf


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


@pytest.mark.parametrize("key_id", ["aliyun-iot:{}", "{}"])
def test_the_engine_gives_public_keys_too(engine, machine, key_id):
    done = machine.run("openssl", "pkey", "-pubin", "-pubout", "-engine", "aliyun-iot", "-inform",
                       "engine", "-in", key_id.format(f"{PRODUCT}/device-1"))
    assert done.stdout == public_key(machine, "device-1"), done.stderr
    done = machine.run("openssl", "pkey", "-pubin", "-pubout", "-engine", "aliyun-iot", "-inform",
                       "engine", "-in", key_id.format(f"{PRODUCT}/no-device"))
    assert done.returncode != 0
    assert "no such product, device or instance" in done.stderr


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


ENGINE_SECTIONS = """
[engines]
aliyun-iot = engine_section
[engine_section]
dynamic_path = {engine}
init = {init}
"""


@pytest.mark.parametrize("sections, init", [
    ("providers = provider_sect", 0), ("engines = engines", 0), ("engines = engines", 1),
    ("engines = engines\nproviders = provider_sect", 1)])
def test_an_openssl_cnf_may_name_engine_or_provider_or_both(engine, machine, load_key, sections,
                                                            init):
    cnf = machine.directory / "engine.cnf"
    text = openssl_cnf("default = default_sect\nother-name = aliyun_iot_sect")
    cnf.write_text(text.replace("providers = provider_sect", sections) +
                   ENGINE_SECTIONS.format(engine=ENGINE, init=init))
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
