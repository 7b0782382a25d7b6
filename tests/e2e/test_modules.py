# SPDX-License-Identifier: Apache-2.0
"""The module cloud.so, which brings libcurl into the process that needs it."""
import re
import shutil
import subprocess

import pytest

from machine import BUILD, COMMAND, MODULES, PRODUCT, sanitizer_environment

LIBRARY = BUILD / "fetch" / "libaliyun-iot.so.0"
URI = f"aliyun-iot://{PRODUCT}/device-1"


def libraries(done):
    """The names of the libraries in the maps that a run of tests/programs/maps printed."""
    assert done.returncode == 0, done.stderr
    return {re.split(r"[.-]", path.rpartition("/")[2])[0]
            for path in re.findall(r"/\S+\.so\S*", done.stdout)}


def open_and_map(machine, uri=URI):
    return machine.run(BUILD / "tests" / "programs" / "maps", uri)


def assert_fails_before_the_cloud(machine, message, uri=URI):
    done = open_and_map(machine, uri)
    assert message in done.stderr
    assert "libaliyun" in libraries(done)
    assert "libcurl" not in libraries(done)


def test_a_malformed_uri_loads_no_libcurl(machine):
    assert_fails_before_the_cloud(machine, "malformed URI", "aliyun-iot://no-device")


def test_a_uri_that_contradicts_the_settings_loads_no_libcurl(machine):
    assert_fails_before_the_cloud(machine, "the URI asks for region", f"{URI}?region=cn-beijing")


def test_wrong_settings_load_no_libcurl(machine):
    machine.write_settings("region = no region")
    assert_fails_before_the_cloud(machine, "settings file is unreadable or wrong")


def test_a_fetch_loads_libcurl(machine, cloud):
    done = open_and_map(machine)
    assert done.stderr == ""
    assert {"libaliyun", "cloud", "libcurl"} <= libraries(done)
    assert len(cloud.calls()) == 1


def make_library(path, text=""):
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=text, text=True,
                   check=True)


@pytest.fixture
def cloud_so(machine):
    """Where the module is looked for; nothing is there yet."""
    folder = machine.directory / "modules"
    folder.mkdir()
    machine.environment["ALIYUN_IOT_MODULES"] = str(folder)
    return folder / "cloud.so"


def assert_load_fails(machine, *phrases):
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 1
    for phrase in phrases:
        assert phrase in done.stderr
    assert phrases[0] in machine.trace.read_text()


def test_a_missing_module_is_an_error_that_names_the_file_and_the_package(machine, cloud_so):
    assert_load_fails(machine, f"{cloud_so} is missing; install it",
                      "on Debian: package aliyun-iot-cloud")


def test_a_module_without_its_libraries_is_an_error_that_names_them(machine, cloud_so):
    text = (MODULES / "cloud.so").read_bytes()
    cloud_so.write_bytes(text.replace(b"libcurl.so.4", b"libgone.so.4"))
    assert_load_fails(machine, f"{cloud_so} cannot be loaded: libgone.so.4",
                      "install again what it needs")


def test_a_module_of_another_version_is_an_error_that_says_to_restart(machine, cloud_so):
    make_library(cloud_so, 'const char *const aliyun_iot_module[] = {"9.9.9"};')
    assert_load_fails(machine, f"{cloud_so} has version 9.9.9",
                      "restart the program, or install both of one version")


def test_a_library_that_is_no_module_is_an_error(machine, cloud_so):
    make_library(cloud_so)
    assert_load_fails(machine, f"{cloud_so} is no module of aliyun-iot")


def test_a_module_that_was_installed_meanwhile_is_used_without_a_restart(machine, cloud, cloud_so):
    process = machine.start(BUILD / "tests" / "programs" / "fleet", 1, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)

    def ask():
        process.stdin.write(f"{URI}\n")
        process.stdin.flush()
        return process.stdout.readline()

    assert "cloud.so is missing" in ask()
    shutil.copyfile(MODULES / "cloud.so", cloud_so)
    assert ask() == f"{URI} {cloud.serial(PRODUCT, 'device-1')}\n"
    process.stdin.close()
    process.wait()


def exported(path):
    done = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True,
                          check=True)
    return {line.split()[2] for line in done.stdout.splitlines()}


@pytest.mark.skipif(bool(sanitizer_environment()), reason="a sanitizer exports symbols of its own")
def test_library_and_module_export_nothing_that_a_program_could_replace():
    assert exported(MODULES / "cloud.so") == {"aliyun_iot_module"}
    assert all(name.startswith("aliyun_iot_") for name in exported(LIBRARY))


@pytest.mark.skipif(bool(sanitizer_environment()), reason="a sanitizer adds variables")
def test_what_library_and_modules_have_copies_of_has_no_state():
    """Else a process would have it twice."""
    done = subprocess.run(["objdump", "-t", BUILD / "fetch" / "libaliyun-iot-base.a"],
                          capture_output=True, text=True, check=True)
    variables = re.findall(r" O \.(?:data|bss|tdata|tbss)\s+\S+ (?:\.hidden )?(\S+)", done.stdout)
    assert "settings_table" in done.stdout
    # Never written: see error.c.
    assert variables == ["out_of_memory"]
