# SPDX-License-Identifier: Apache-2.0
"""What tests of the whole product run on: the stand-in cloud, and a user's surroundings.

ALIYUN_IOT_BUILD names the build folder (default: build).
"""
import _ssl
import contextlib
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ALIYUN_IOT_BUILD", ROOT / "build")).resolve()
COMMAND = BUILD / "fetch" / "command" / "aliyun-iot"
MODULE = BUILD / "provider" / "aliyun-iot.so"
ENGINE = BUILD / "provider" / "engine" / "aliyun-iot.so"

# In the stand-in's default configuration.
PRODUCT = "a1X509rsa00"
PRODUCTS = {"RSA": PRODUCT, "EC": "a1X509ec000", "Ed25519": "a1X509ed000"}

# In front of a program: an invalid access or a leak is exit status 99.
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"]


@functools.cache
def libcrypto_of(path):
    """The name of the libcrypto that a program or a library is linked with."""
    done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    found = re.search(r"libcrypto\.so\.[0-9]+", done.stdout)
    return found and found[0]


# Programs whose OpenSSL a script brings, or which hand what they have from ours to a library of the
# distribution. Python tells which one that uses.
OF_THE_DISTRIBUTION = {"python3", "ruby", "psql", "curl_identity", "harness"}


def skip_if_another_openssl(arguments):
    """A system may have two. A program of the one cannot load a module for the other."""
    words = [str(argument) for argument in arguments]
    if words[0] == "valgrind":
        words = list(itertools.dropwhile(lambda word: word.startswith("-"), words[1:]))
    name = pathlib.Path(words[0]).name
    path = _ssl.__file__ if name in OF_THE_DISTRIBUTION else shutil.which(words[0])
    if libcrypto_of(path) not in (None, libcrypto_of(MODULE)):
        pytest.skip(f"{name} uses {libcrypto_of(path)}, the module {libcrypto_of(MODULE)}")


def wait_for_port(port, process, seconds=15):
    """Waits until something accepts connections on the loopback port."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        if time.monotonic() > end:
            raise RuntimeError(f"{process.args[0]} does not listen on port {port}")
        time.sleep(0.02)


def wait_for_text(text, log, process, seconds=60):
    """Waits until a log has the text, of a process or of one that it speaks with."""
    end = time.monotonic() + seconds
    while text not in log.read_text():
        assert process.poll() is None, f"{process.args[0]} ended; {log.read_text()}"
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_process(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Cloud:
    """A running stand-in cloud and its control interface."""

    def __init__(self, directory, *options):
        self.directory = pathlib.Path(directory)
        self.log = open(self.directory / "cloud.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "cloud"), "--directory", str(directory), *options],
            stdout=self.log, stderr=subprocess.STDOUT)
        self.information = self._await_information()
        self.endpoint = self.information["endpoint"]
        self.ca = self.directory / "ca.pem"
        self.device_ca = self.directory / "device-ca.pem"

    def _await_information(self):
        path = self.directory / "cloud.json"
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(FileNotFoundError, ValueError):
                information = json.loads(path.read_text())
                if information["pid"] == self.process.pid:
                    return information
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise RuntimeError("the stand-in cloud did not start: " + self.log.read())
            time.sleep(0.02)

    def control(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.information["control"] + path, data=data,
                                         method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def reset(self):
        self.control("POST", "/reset", {})

    def fault(self, fault, times=None, **match):
        self.control("POST", "/faults", {"match": match, "times": times, "fault": fault})

    def calls(self, device=None):
        """The QueryDeviceCert requests since the last reset, oldest first."""
        return [request for request in self.control("GET", "/requests")
                if request.get("action") == "QueryDeviceCert"
                and (device is None or request.get("device") == device)]

    def serial(self, product, device):
        return int(str(self.control("GET", f"/device/{product}/{device}")["serial"]), 0)

    def stop(self):
        end_process(self.process)
        self.log.close()


OPENSSL_CNF = """\
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
{order}
[default_section]
activate = 1
[aliyun_iot_section]
module = {module}
activate = 1
"""
DEFAULT_FIRST = "default = default_section\naliyun-iot = aliyun_iot_section"
DEFAULT_LAST = "aliyun-iot = aliyun_iot_section\ndefault = default_section"


def sanitizer_environment():
    """What programs need that load a module built with a sanitizer, which they are not."""
    preload = os.environ.get("ALIYUN_IOT_TEST_PRELOAD")
    if not preload:
        return {}
    # The sanitizer's dlopen() does not see the module's run path.
    return {"LD_PRELOAD": preload, "LD_LIBRARY_PATH": str(BUILD / "fetch"),
            **{name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS")
               if name in os.environ}}


# Whatever they load, a preloaded sanitizer makes them wait forever for the C library's lock of
# locales; or, php, end since it opens modules with RTLD_DEEPBIND.
NOT_SANITIZED = {"curl", "git", "php", "psql", "stunnel", "wget"}


def skip_if_not_sanitized(program):
    name = pathlib.Path(program).name
    if name in NOT_SANITIZED and sanitizer_environment():
        pytest.skip(f"{name} does not run under a preloaded sanitizer")


class Machine:
    """A user's surroundings: a home of their own, settings, credentials, and an openssl.cnf."""

    def __init__(self, directory, cloud, order=DEFAULT_FIRST):
        self.directory = directory
        self.cloud = cloud
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        self.settings = directory / "aliyun-iot.conf"
        self.trace = directory / "trace.log"
        self.write_settings()
        cnf = directory / "openssl.cnf"
        cnf.write_text(OPENSSL_CNF.format(order=order, module=MODULE))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "OPENSSL_CONF": str(cnf),
            "ALIYUN_IOT_CONFIG": str(self.settings),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": cloud.information["access_key_id"],
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloud.information["access_key_secret"],
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        }
        self.environment.update(sanitizer_environment())

    def write_settings(self, cloud="", **sections):
        """[cloud] with the stand-in's endpoint and what is given; then further sections."""
        lines = ["[cloud]"]
        if "endpoint" not in cloud:
            lines.append(f"endpoint = {self.cloud.endpoint}")
        if "ca-file" not in cloud:
            lines.append(f"ca-file = {self.cloud.ca}")
        lines.append(cloud)
        sections.setdefault("trace", f"file = {self.trace}\nlevel = debug")
        for name, body in sections.items():
            lines += [f"[{name}]", body]
        self.settings.write_text("\n".join(lines) + "\n")

    def run(self, *arguments, timeout=60, environment=None, **options):
        """Runs a program to its end; returns status, standard output and standard error."""
        skip_if_not_sanitized(arguments[0])
        skip_if_another_openssl(arguments)
        merged = {**self.environment, **(environment or {})}
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run([str(argument) for argument in arguments], env=merged,
                              capture_output=True, text=True, errors="replace", timeout=timeout,
                              cwd=self.directory, **options)

    def start(self, *arguments, **options):
        skip_if_not_sanitized(arguments[0])
        skip_if_another_openssl(arguments)
        environment = {**self.environment, **options.pop("environment", {})}
        return subprocess.Popen([str(argument) for argument in arguments], env=environment,
                                cwd=self.directory, text=True, **options)

    def identity_file(self, uri, name="identity.pem"):
        path = self.directory / name
        done = self.run(COMMAND, "pem", uri, "-o", path)
        assert done.returncode == 0, done.stderr
        return path


def make_server_certificate(folder):
    """A CA and a certificate for localhost, for brokers and servers that devices connect to."""
    folder.mkdir(exist_ok=True)
    openssl = shutil.which("openssl")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=Test CA",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 demands it
                    "-keyout", folder / "ca.key", "-out", folder / "ca.pem"],
                   check=True, capture_output=True)
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                    "-keyout", folder / "server.key", "-out", folder / "server.pem"],
                   check=True, capture_output=True)
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)
    return folder
