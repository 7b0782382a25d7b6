# SPDX-License-Identifier: Apache-2.0
"""What tests of the whole product run on: the stand-in cloud, and a user's surroundings.

ALIYUN_IOT_BUILD names the build folder (default: build).
"""
import _ssl
import contextlib
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ALIYUN_IOT_BUILD", ROOT / "build")).resolve()
COMMAND = BUILD / "fetch" / "command" / "aliyun-iot"
MODULE = BUILD / "provider" / "aliyun-iot.so"
# The agent may be of another build than what asks it, such as one with a sanitizer.
AGENT_BUILD = pathlib.Path(os.environ.get("ALIYUN_IOT_TEST_AGENT_BUILD", BUILD)).resolve()
AGENT = AGENT_BUILD / "fetch" / "agent" / "aliyun-iot-agent"
# With ALIYUN_IOT_TEST_AGENT=1, programs ask an agent, and have no AccessKey.
THROUGH_AGENT = "ALIYUN_IOT_TEST_AGENT" in os.environ
MODULES = BUILD / "fetch"
ENGINE = BUILD / "provider" / "engine" / "aliyun-iot.so"

# In the stand-in's default configuration.
PRODUCT = "a1X509rsa00"
PRODUCTS = {"RSA": PRODUCT, "EC": "a1X509ec000", "Ed25519": "a1X509ed000"}

# How long a test waits for what a program should do. A slow machine must not reach it.
PATIENCE_S = 300

# In front of a program: an invalid access or a leak is exit status 99.
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            f"--suppressions={pathlib.Path(__file__).with_name('loader.supp')}",
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
    for word in programs_of(arguments):
        name = pathlib.Path(word).name
        path = _ssl.__file__ if name in OF_THE_DISTRIBUTION else shutil.which(word)
        if libcrypto_of(path) not in (None, libcrypto_of(MODULE)):
            pytest.skip(f"{name} uses {libcrypto_of(path)}, the module {libcrypto_of(MODULE)}")


def programs_of(arguments):
    """The program, and those that it may start: any bare word that is the name of one."""
    words = [str(argument) for argument in arguments]
    return [words[0], *(word for word in words[1:]
                        if re.fullmatch(r"[a-z][a-z0-9_.-]*", word) and shutil.which(word))]


def wait_for_port(port, process, seconds=PATIENCE_S):
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


def wait_for_text(text, log, process, seconds=PATIENCE_S):
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
        process.wait(timeout=PATIENCE_S)
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
        end = time.monotonic() + PATIENCE_S
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
        with opener.open(request, timeout=PATIENCE_S) as answer:
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


DEFAULT_FIRST = "default = default_sect\naliyun-iot = aliyun_iot_sect"
DEFAULT_LAST = "aliyun-iot = aliyun_iot_sect\ndefault = default_sect"


def openssl_cnf(order=DEFAULT_FIRST, module=MODULE):
    """conf/openssl.cnf with these lines in its section of providers, for this module."""
    text = (ROOT / "conf" / "openssl.cnf").read_text()
    assert DEFAULT_FIRST in text and "\n# module = " in text
    return re.sub("\n# module = .*", f"\nmodule = {module}", text.replace(DEFAULT_FIRST, order))


@functools.cache
def user_namespaces():
    """Whether a program may have a user namespace of its own: not in a chroot, nor everywhere."""
    return bool(shutil.which("unshare")) and subprocess.run(
        ["unshare", "--map-root-user", "--mount", "true"], capture_output=True,
        check=False).returncode == 0


def secrets_in(process, numbers):
    """Which of the numbers a process has in memory, in either byte order."""
    found = set()
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb") as memory:
        for line in maps:
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if " rw" not in line:
                continue
            memory.seek(begin)
            try:
                content = memory.read(end - begin)
            except OSError:
                continue
            found |= {name for name, number in numbers.items()
                      if number in content or number[::-1] in content}
    return found


def sanitizer_environment():
    """What programs need that load a module built with a sanitizer, which they are not."""
    preload = os.environ.get("ALIYUN_IOT_TEST_PRELOAD")
    if not preload:
        return {}
    # The sanitizer's dlopen() does not see the module's run path.
    return {"LD_PRELOAD": preload, "LD_LIBRARY_PATH": str(BUILD / "fetch"),
            **{name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS")
               if name in os.environ}}


def thread_sanitizer_environment():
    """How an agent that is built with one is told what counts as a finding, whoever starts it."""
    return {name: os.environ[name] for name in ("TSAN_OPTIONS",) if name in os.environ}


# Whatever they load, a preloaded sanitizer makes them wait forever for the C library's lock of
# locales; or, php, end since it opens modules with RTLD_DEEPBIND.
NOT_SANITIZED = {"curl", "git", "php", "psql", "stunnel", "wget"}


def skip_if_not_sanitized(program):
    name = pathlib.Path(program).name
    if name in NOT_SANITIZED and sanitizer_environment():
        pytest.skip(f"{name} does not run under a preloaded sanitizer")


def is_credential(name):
    return name.startswith("ALIBABA_CLOUD_")


class Agent:
    """An agent that listens on socket. In a short folder: the path of a socket is limited.

    With the text of a policy, it is for all users: its socket is [socket/main] of agent.conf.
    """

    def __init__(self, machine, *options, settings=None, environment=None, descriptors=None,
                 policy=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-"))
        self.socket = self.folder / "socket"
        self.settings = self.folder / "agent.conf"
        self.log = self.folder / "log"
        self.settings.write_text(machine.settings.read_text() if settings is None else settings)
        self.descriptors = descriptors
        self.command = [*map(str, options), str(AGENT), "--config", str(self.settings)]
        self.policy = self.folder / "policy.conf"
        if policy is None:
            self.command += ["--socket", str(self.socket)]
        else:
            self.folder.chmod(0o755)
            self.policy.write_text(policy)
            with self.settings.open("a") as file:
                file.write(f"\n[policy]\nfile = policy.conf\n"
                           f"[socket/main]\npath = {self.socket}\nmode = 0666\n")
        self.environment = {**machine.environment,
                            "ALIYUN_IOT_MODULES": str(AGENT_BUILD / "fetch"),
                            **(environment or {})}
        self.start()

    def start(self):
        """It was stopped, or has ended."""
        limits = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors,) * 2)) \
            if self.descriptors else None
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment, preexec_fn=limits)
        self.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def stopped(self):
        """All its threads have stopped, until the end of the block."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def wait(self):
        """Until it listens."""
        end = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self.connect().close()
                return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.01)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(self.socket))
        connection.settimeout(PATIENCE_S)
        return connection

    def ask(self, **request):
        """Sends one request, as aliyun-iot-agent-protocol(7) has it; returns the answer."""
        with self.connect() as connection:
            connection.send(json.dumps({"version": 1, **request}).encode())
            return json.loads(connection.recv(1 << 20))

    def stop(self):
        end_process(self.process)
        log = self.log.read_text()
        shutil.rmtree(self.folder, ignore_errors=True)
        # A test may have killed it; it must not have crashed.
        assert self.process.returncode in (0, -9), (self.process.returncode, log)


class Machine:
    """A user's surroundings: a home of their own, settings, credentials, and an openssl.cnf."""

    def __init__(self, directory, cloud, order=DEFAULT_FIRST):
        self.agent = None
        self.started = []
        self.directory = directory
        self.cloud = cloud
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        # The quota's queue is here, so each test begins with an empty one.
        self.runtime = directory / "runtime"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self.settings = directory / "aliyun-iot.conf"
        self.trace = directory / "trace.log"
        self.write_settings()
        self.cnf = directory / "openssl.cnf"
        self.cnf.write_text(openssl_cnf(order))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LANG": "C.UTF-8",
            "OPENSSL_CONF": str(self.cnf),
            "ALIYUN_IOT_CONFIG": str(self.settings),
            "ALIYUN_IOT_MODULES": str(MODULES),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": cloud.information["access_key_id"],
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloud.information["access_key_secret"],
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        }
        self.environment.update(sanitizer_environment())
        self.environment.update(thread_sanitizer_environment())
        if THROUGH_AGENT:
            self.use_agent()

    def use_agent(self, *options, **more):
        """From now on, programs ask an agent: the only one that has settings and credentials."""
        self.stop_agent()
        self.agent = Agent(self, *options, **more)
        self.settings.write_text(f"[cloud]\ntimeout = 5m\n[agent]\nsocket = {self.agent.socket}\n"
                                 f"[trace]\nfile = {self.trace}\nlevel = debug\n")
        self.expect_opaque_keys()
        for name in filter(is_credential, [*self.environment]):
            del self.environment[name]
        # For aliyun_iot_use_identity(), which no openssl.cnf tells where the provider is.
        self.environment["OPENSSL_MODULES"] = str(MODULE.parent)
        return self.agent

    def expect_opaque_keys(self):
        """What a PEM identity file needs whose key is in the agent."""
        text = self.cnf.read_text()
        self.cnf.write_text(text.replace("[aliyun_iot_sect]",
                                         "[aliyun_iot_sect]\nopaque-keys = yes"))

    def stop_agent(self):
        if self.agent:
            self.agent.stop()
            self.agent = None

    def close(self):
        """Ends the agent, and what a test that failed left running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.stop_agent()

    def write_settings(self, cloud="", **sections):
        """[cloud] with the stand-in's endpoint and what is given; then further sections."""
        lines = ["[cloud]"]
        if "endpoint" not in cloud:
            lines.append(f"endpoint = {self.cloud.endpoint}")
        if "ca-file" not in cloud:
            lines.append(f"ca-file = {self.cloud.ca}")
        # Far more than a slow machine needs, where a test is not about the end of it.
        for name in ("timeout", "connect-timeout"):
            if not any(line.startswith(name + " =") for line in cloud.splitlines()):
                lines.append(f"{name} = 5m")
        lines.append(cloud)
        sections.setdefault("trace", f"file = {self.trace}\nlevel = debug")
        credentials = sections.setdefault("credentials", "")
        if "ca-file" not in credentials:
            sections["credentials"] = f"ca-file = {self.cloud.ca}\n{credentials}"
        for name, body in sections.items():
            lines += [f"[{name}]", body]
        text = "\n".join(lines) + "\n"
        if self.agent:
            self.agent.settings.write_text(text)
            assert self.agent.ask(operation="reload")["ok"]
        else:
            self.settings.write_text(text)

    def run(self, *arguments, timeout=PATIENCE_S, environment=None, **options):
        """Runs a program to its end; returns status, standard output and standard error."""
        for program in programs_of(arguments):
            skip_if_not_sanitized(program)
        skip_if_another_openssl(arguments)
        merged = {**self.environment, **(environment or {})}
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run([str(argument) for argument in arguments], env=merged,
                              capture_output=True, text=True, errors="replace", timeout=timeout,
                              cwd=self.directory, **options)

    def start(self, *arguments, **options):
        for program in programs_of(arguments):
            skip_if_not_sanitized(program)
        skip_if_another_openssl(arguments)
        environment = {**self.environment, **options.pop("environment", {})}
        self.started.append(subprocess.Popen([str(argument) for argument in arguments],
                                             env=environment, cwd=self.directory, text=True,
                                             **options))
        return self.started[-1]

    def identity_file(self, uri, name="identity.pem"):
        path = self.directory / name
        done = self.run(COMMAND, "pem", uri, "-o", path)
        assert done.returncode == 0, done.stderr
        if self.agent:
            # As a process does when it ends. Tests count the calls of the next one.
            assert self.agent.ask(operation="evict", pattern="*/*")["ok"]
        return path


def make_server_certificate(folder, names="DNS:localhost,IP:127.0.0.1"):
    """A CA and a certificate for brokers and servers that devices connect to on localhost."""
    folder.mkdir(exist_ok=True)
    openssl = shutil.which("openssl")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=Test CA",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 demands it
                    "-keyout", folder / "ca.key", "-out", folder / "ca.pem"],
                   check=True, capture_output=True)
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    *(["-addext", f"subjectAltName={names}"] if names else []),
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                    "-keyout", folder / "server.key", "-out", folder / "server.pem"],
                   check=True, capture_output=True)
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)
    return folder
