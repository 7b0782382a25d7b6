# SPDX-License-Identifier: Apache-2.0
"""A set-user-ID program that another user runs: nothing that this caller chooses has an effect.

Every trap is shown to work first: the program's owner, for whom it is an ordinary program, runs it
with the same environment.
"""
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

from machine import (BUILD, COMMAND, MODULE, MODULES, PATIENCE_S, PRODUCT, ROOT, openssl_cnf,
                     sanitizer_environment)

sys.path.insert(0, str(ROOT / "tests" / "cloud"))
import account  # noqa: E402

OPENER = BUILD / "tests" / "programs" / "opener"
TRAP = BUILD / "tests" / "programs" / "trap.so"
URI = f"aliyun-iot://{PRODUCT}/device-1"
CALLER = 65533
HOSTILE_KEY = "LTAIhostile"


class Tunnel:
    """An HTTP proxy that knows CONNECT. count: the connections that it got."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = client.recv(1)
            if not more:
                return
            head += more
        host, _, port = head.split()[1].decode().rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self._copy, args=(server, client), daemon=True).start()
        self._copy(client, server)

    @staticmethod
    def _copy(source, target):
        try:
            while True:
                block = source.recv(65536)
                if not block:
                    break
                target.sendall(block)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def find_folder():
    """A folder that every user can reach and where set-user-ID counts."""
    for parent in ("/tmp", "/var/tmp"):
        if os.path.isdir(parent) and not os.statvfs(parent).f_flag & os.ST_NOSUID:
            return pathlib.Path(tempfile.mkdtemp(prefix="aliyun-iot-privileged-", dir=parent))
    pytest.skip("set-user-ID counts neither in /tmp nor in /var/tmp")


def skip_where_nothing_is_set_user_id():
    if os.getuid() != 0:
        pytest.skip("needs root, to run a program as two users")
    if sanitizer_environment():
        pytest.skip("the loader preloads no sanitizer in a set-user-ID program")
    if "NoNewPrivs:\t1" in pathlib.Path("/proc/self/status").read_text():
        pytest.skip("no_new_privs is set: no program here is set-user-ID")


def with_mounts_of_its_own():
    """The start of a command line. What is mounted in the command is seen there alone."""
    wrapper = ["unshare", "--mount"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode == 0:
        return wrapper
    # In a chroot, unshare cannot make the root private; that may have been done outside.
    wrapper += ["--propagation", "unchanged"]
    if "shared:" in pathlib.Path("/proc/self/mountinfo").read_text() or \
            subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("there can be no mounts of a program's own, for a root with another home")
    return wrapper


@functools.cache
def installation_folders():
    """Where the product is to be installed: the prefix, and within it the folder of modules."""
    options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    values = {option["name"]: option["value"] for option in options}
    prefix = pathlib.Path(values["prefix"])
    return prefix, (prefix / values["libdir"] / "aliyun-iot").relative_to(prefix)


class Owner:
    """A set-user-ID program, the home of its owner root, and a folder of its hostile caller.

    The home is that of root in an /etc/passwd which only the programs started here see. They alone
    see the module cloud.so where it is to be installed.
    """

    def __init__(self, folder, cloud):
        self.cloud = cloud
        self.program = folder / "opener"
        self.home = folder / "home"
        self.hostile = folder / "hostile"
        self.trap = self.hostile / "trap"
        self.passwd = folder / "passwd"
        self.prefix, modules = installation_folders()
        self.installed = folder / "installed"
        (self.installed / modules).mkdir(parents=True)
        shutil.copy(MODULES / "cloud.so", self.installed / modules)
        folder.chmod(0o755)
        shutil.copyfile(OPENER, self.program)
        self.program.chmod(0o4755)
        (folder / "openssl.cnf").write_text(openssl_cnf())
        self.passwd.write_text("".join(f"{name}:x:{number}:{number}::{self.home}:/bin/sh\n"
                                       for name, number in (("root", 0), ("caller", CALLER))))
        self.hostile.mkdir()
        os.chown(self.hostile, CALLER, CALLER)
        self.write_settings(self.home)
        self.write_profile(self.home, mode="AK", access_key_id=account.FULL_KEY[0],
                           access_key_secret=account.FULL_KEY[1])
        self.tunnel = Tunnel()

    def write_settings(self, home, cloud="", more=""):
        path = home / ".config" / "aliyun-iot" / "aliyun-iot.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[cloud]\nendpoint = {self.cloud.endpoint}\nca-file = {self.cloud.ca}\n"
                        f"{cloud}\n[credentials]\nmetadata-endpoint = http://127.0.0.1:9\n{more}\n")
        return path

    @staticmethod
    def write_profile(home, **fields):
        path = home / ".aliyun" / "config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"current": "default",
                                    "profiles": [{"name": "default", **fields}]}))
        return path

    @staticmethod
    def write_ini_profile(path, key_id, secret):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[default]\ntype = access_key\naccess_key_id = {key_id}\n"
                        f"access_key_secret = {secret}\n")
        return path

    def write_command(self, path):
        """A command that springs the trap."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n: >'{self.trap}'\n")
        path.chmod(0o755)
        return path

    def run(self, user, environment, program=None):
        variables = [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(
            [*with_mounts_of_its_own(), "sh", "-ec",
             'mount --bind "$1" /etc/passwd; '
             'mount -t overlay -o "lowerdir=$2:$3" overlay "$3"; '
             'shift 3; exec "$@"', "sh", self.passwd, self.installed, self.prefix,
             "setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups",
             "env", "-i", *variables, program or self.program, URI],
            capture_output=True, text=True, timeout=PATIENCE_S, cwd=self.hostile, check=False,
            stdin=subprocess.DEVNULL)

    def run_ordinary(self, environment):
        return self.run(0, environment)

    def run_privileged(self, environment):
        return self.run(CALLER, environment)

    def forget(self):
        """What the runs before left behind."""
        self.trap.unlink(missing_ok=True)
        self.tunnel.count = 0
        self.cloud.reset()


@pytest.fixture
def owner(cloud):
    skip_where_nothing_is_set_user_id()
    folder = find_folder()
    owner = Owner(folder, cloud)
    yield owner
    owner.tunnel.stop()
    shutil.rmtree(folder)


def assert_device(done, cloud, kind="privileged"):
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{kind} {cloud.serial(PRODUCT, 'device-1')}\n"


# What a caller can set: each function prepares a trap and returns the environment.

def key_log(owner):
    return {"SSLKEYLOGFILE": owner.trap}


def trace_file(owner):
    return {"ALIYUN_IOT_TRACE": owner.trap}


def settings_with_trace(owner):
    return owner.write_settings(owner.hostile, more=f"[trace]\nfile = {owner.trap}\nlevel = debug")


def settings_file(owner):
    return {"ALIYUN_IOT_CONFIG": settings_with_trace(owner)}


def settings_in_home(owner):
    settings_with_trace(owner)
    return {"HOME": owner.hostile}


def settings_in_configuration_folder(owner):
    return {"XDG_CONFIG_HOME": settings_with_trace(owner).parents[1]}


def command_of_hostile_profile(owner):
    return owner.write_profile(owner.hostile, mode="External",
                               process_command=str(owner.write_command(owner.hostile / "command")))


def profile_file(owner):
    return {"ALIBABA_CLOUD_CONFIG_FILE": command_of_hostile_profile(owner)}


def profile_in_home(owner):
    command_of_hostile_profile(owner)
    owner.write_settings(owner.hostile)
    return {"HOME": owner.hostile}


def command_in_path(owner):
    """The owner's own profile names a command without its folder."""
    owner.write_profile(owner.home, mode="External", process_command="print-credentials")
    owner.write_ini_profile(owner.home / ".alibabacloud" / "credentials", *account.FULL_KEY)
    return {"PATH": owner.write_command(owner.hostile / "bin" / "print-credentials").parent}


def openssl_configuration(owner):
    path = owner.hostile / "openssl.cnf"
    path.write_text(openssl_cnf(module=TRAP))
    return {"OPENSSL_CONF": path, "TRAP": owner.trap}


def preloaded_library(owner):
    return {"LD_PRELOAD": TRAP, "TRAP": owner.trap}


def library_folder(owner):
    (owner.hostile / "libaliyun-iot.so.0").symlink_to(TRAP)
    return {"LD_LIBRARY_PATH": owner.hostile, "TRAP": owner.trap}


def module_folder(owner):
    (owner.hostile / "cloud.so").symlink_to(TRAP)
    return {"ALIYUN_IOT_MODULES": owner.hostile, "TRAP": owner.trap}


def runtime_folder(owner):
    # Root's own, since a folder of another user is not used anyway.
    folder = owner.hostile / "runtime"
    folder.mkdir()
    owner.trap = folder / "aliyun-iot"
    return {"XDG_RUNTIME_DIR": folder}


@pytest.mark.parametrize("prepare", [
    key_log, trace_file, settings_file, settings_in_home, settings_in_configuration_folder,
    profile_file, profile_in_home, command_in_path, openssl_configuration, preloaded_library,
    library_folder, module_folder, runtime_folder])
def test_no_file_is_written_and_no_code_runs_that_the_caller_names(owner, cloud, prepare):
    environment = prepare(owner)
    owner.run_ordinary(environment)
    assert owner.trap.exists(), "the trap does not work"
    if owner.trap.is_dir():
        shutil.rmtree(owner.trap)
    owner.forget()
    assert_device(owner.run_privileged(environment), cloud)
    assert not owner.trap.exists()


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_no_proxy_of_the_caller_is_used(owner, cloud, variable):
    environment = {variable: owner.tunnel.url}
    assert_device(owner.run_ordinary(environment), cloud, "ordinary")
    assert owner.tunnel.count > 0, "the trap does not work"
    owner.forget()
    assert_device(owner.run_privileged(environment), cloud)
    assert owner.tunnel.count == 0


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_the_owners_proxy_cannot_be_avoided(owner, cloud, variable):
    owner.write_settings(owner.home, f"proxy = {owner.tunnel.url}")
    environment = {variable: "*"}
    assert_device(owner.run_ordinary(environment), cloud, "ordinary")
    assert owner.tunnel.count == 0, "the trap does not work"
    owner.forget()
    assert_device(owner.run_privileged(environment), cloud)
    assert owner.tunnel.count > 0


def hostile_key(_):
    return {"ALIBABA_CLOUD_ACCESS_KEY_ID": HOSTILE_KEY, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "x"}


def hostile_credentials_file(owner):
    owner.write_profile(owner.home, mode="none")
    owner.write_ini_profile(owner.home / ".alibabacloud" / "credentials", *account.FULL_KEY)
    return {"ALIBABA_CLOUD_CREDENTIALS_FILE":
            owner.write_ini_profile(owner.hostile / "credentials", HOSTILE_KEY, "x")}


@pytest.mark.parametrize("prepare", [hostile_key, hostile_credentials_file])
def test_no_access_key_of_the_caller_is_used(owner, cloud, prepare):
    environment = prepare(owner)
    owner.run_ordinary(environment)
    assert {call["access_key_id"] for call in cloud.calls()} == {HOSTILE_KEY}
    owner.forget()
    assert_device(owner.run_privileged(environment), cloud)
    assert {call["access_key_id"] for call in cloud.calls()} == {account.FULL_KEY[0]}


def test_no_command_runs_even_if_the_owner_names_it(owner):
    """Its current folder, limits and terminal would be the caller's."""
    command = owner.write_command(owner.home / "print-credentials")
    owner.write_profile(owner.home, mode="External", process_command=str(command))
    done = owner.run_privileged({})
    assert done.returncode == 1
    assert "a privileged (set-user-ID) process runs no process_command" in done.stderr
    assert not owner.trap.exists()


def test_file_capabilities_make_a_process_privileged_too(owner, cloud):
    setcap = shutil.which("setcap", path="/usr/sbin:/sbin:/usr/bin")
    if not setcap:
        pytest.skip("setcap (libcap2-bin) is not installed")
    program = owner.program.with_name("capable")
    shutil.copyfile(owner.program, program)
    program.chmod(0o755)
    # With this one it can read the module and the settings wherever they are.
    done = subprocess.run([setcap, "cap_dac_read_search+ep", program], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"files here cannot have capabilities: {done.stderr}")
    environment = {**key_log(owner), **hostile_key(owner)}
    try:
        assert_device(owner.run(CALLER, environment, program), cloud)
    finally:
        shutil.rmtree(f"/tmp/aliyun-iot-{CALLER}", ignore_errors=True)
    assert not owner.trap.exists()


def libssl_logs_by_itself():
    """Whether libcurl's OpenSSL was built with enable-sslkeylog (see SECURITY.md)."""
    libraries = subprocess.run(["ldd", MODULES / "cloud.so"], capture_output=True, text=True,
                               check=True).stdout
    curl = re.search(r"libcurl\.so\S* => (\S+)", libraries)[1]
    libraries = subprocess.run(["ldd", curl], capture_output=True, text=True, check=True).stdout
    path = re.search(r"libssl\.so\S* => (\S+)", libraries)[1]
    return b"SSLKEYLOGFILE" in pathlib.Path(path).read_bytes()


@pytest.mark.skipif(libssl_logs_by_itself(), reason="this libssl logs by itself")
def test_an_ordinary_process_logs_no_tls_secret_of_the_connection_to_the_cloud(machine):
    log = machine.directory / "keys.log"
    done = machine.run(COMMAND, "show", URI, environment={"SSLKEYLOGFILE": str(log)})
    assert done.returncode == 0, done.stderr
    assert not log.exists() or log.read_text() == ""


def test_installed_files_look_for_libraries_in_absolute_folders_alone(tmp_path):
    if not shutil.which("readelf") or not shutil.which("meson"):
        pytest.skip("readelf (binutils) or meson is not installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", tmp_path],
                   check=True, capture_output=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()
             and path.read_bytes()[:4] == b"\x7fELF"]
    assert {"aliyun-iot.so", "cloud.so", "aliyun-iot-agent"} <= {path.name for path in files}
    for path in files:
        done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True,
                              check=True)
        for folders in re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", done.stdout):
            assert all(folder.startswith("/") for folder in folders.split(":")), folders
