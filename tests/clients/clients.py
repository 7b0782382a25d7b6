# SPDX-License-Identifier: Apache-2.0
"""The device that clients connect as, and the versions of those clients."""
import functools
import re
import shutil
import subprocess

import pytest

from machine import BUILD, ENGINE, MODULE, PRODUCT
from servers import SERVER_PATH

PROGRAMS = BUILD / "tests" / "clients"
ENGINE_ENVIRONMENT = {"OPENSSL_ENGINES": str(ENGINE.parent), "OPENSSL_MODULES": str(MODULE.parent)}


class Device:
    """A device in its forms, and what proves that a client connected as it."""

    name = "device-1"
    bare = f"{PRODUCT}/{name}"
    uri = f"aliyun-iot://{bare}"
    short_uri = f"aliyun-iot:{bare}"

    def __init__(self, machine, cloud, ca):
        self.machine = machine
        self.cloud = cloud
        self.ca = ca  # of the server that the client is to trust
        self.serial = cloud.serial(PRODUCT, self.name)

    def identity(self):
        """A PEM identity file. The call that it took to write it is not counted."""
        path = self.machine.identity_file(self.uri)
        self.cloud.reset()
        return path

    def assert_connected(self, server, explanation, processes=1):
        """Each process connected as the device, once, and asked the cloud for it once."""
        assert server.serials == [self.serial] * processes, explanation
        assert len(self.cloud.calls(self.name)) == processes, explanation


# How to ask a program for its version, and what stands before the number.
_VERSIONS = {
    "openssl": (["openssl", "version"], "OpenSSL "),
    "curl": (["curl", "--version"], "curl "),
    "libcurl": (["curl", "--version"], "libcurl/"),
    "mosquitto": (["mosquitto", "-h"], "mosquitto version "),
    "libmosquitto": (["mosquitto_pub", "--help"], "libmosquitto "),
    "Python": (["python3", "--version"], "Python "),
    "paho-mqtt": (["python3", "-c", "import paho.mqtt; print(paho.mqtt.__version__)"], ""),
    "Paho": ([str(BUILD / "tests" / "clients" / "paho"), "--version"], "Paho C "),
    "nginx": (["nginx", "-v"], "nginx/"),
    "stunnel": (["stunnel", "-version"], "stunnel "),
    "haproxy": (["haproxy", "-v"], "HAProxy version "),
    "socat": (["socat", "-V"], "socat version "),
    "sslscan": (["sslscan", "--no-colour", "--version"], ""),
    "openvpn": (["openvpn", "--version"], "OpenVPN "),
    "psql": (["psql", "--version"], "(PostgreSQL) "),
    "node": (["node", "--version"], ""),
    "PHP": (["php", "--version"], "PHP "),
    "ruby": (["ruby", "--version"], "ruby "),
    "git": (["git", "--version"], "git version "),
    "wget": (["wget", "--version"], "GNU Wget "),
}


@functools.cache
def version_of(program):
    """Of a client, as text; None if it is not there."""
    command, before = _VERSIONS[re.split("[ ,_]", program)[0]]
    path = shutil.which(command[0], path=f"/usr/bin:{SERVER_PATH}")
    if not path:
        return None
    done = subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False)
    found = re.search(re.escape(before) + r"v?([0-9][0-9.]*[0-9])", done.stdout + done.stderr)
    return found and found[1]


def is_at_least(program, version):
    def numbers(text):
        return [int(part) for part in text.split(".")]

    return numbers(version_of(program)) >= numbers(version)


def needs(program, version, what):
    """Skips the test where the program is older than the version that has what is tested."""
    if not is_at_least(program, version):
        pytest.skip(f"{program} has {what} from {version} on")


def needs_curl_with_providers(machine):
    """libcurl that takes certificates and keys from a provider, and finds ours as installed.

    The module is there by both its names, and so is the engine, which curl takes if it can.
    """
    needs("curl", "8.14", "--cert-type PROV")
    folder = machine.directory / "modules"
    folder.mkdir()
    for name in ("aliyun-iot.so", "aliyun-iot-provider.so"):
        (folder / name).symlink_to(MODULE)
    machine.environment.update(ENGINE_ENVIRONMENT, OPENSSL_MODULES=str(folder))
