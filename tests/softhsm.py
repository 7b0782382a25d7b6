# SPDX-License-Identifier: Apache-2.0
"""SoftHSM: PKCS#11 tokens in a folder of the test's own."""
import pathlib
import shutil

import pytest

from machine import BUILD, THROUGH_AGENT, sanitizer_environment

MODULE = next((path for path in map(pathlib.Path, (
    "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))
    if path.exists()), None)
SPY = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/pkcs11-spy.so"))), None)
TOKEN_SO = BUILD / "fetch" / "token.so"
PIN = "5678"

# What tests with SoftHSM need.
NEEDED = [
    pytest.mark.skipif(THROUGH_AGENT, reason="each test here has a token of its own"),
    pytest.mark.skipif(not TOKEN_SO.exists(), reason="the module for tokens was not built"),
    pytest.mark.skipif(not MODULE or not shutil.which("pkcs11-tool"),
                       reason="softhsm2 or opensc is not installed"),
    pytest.mark.skipif(bool(sanitizer_environment()),
                       reason="SoftHSM does not run under a preloaded sanitizer"),
]


class SoftHsm:
    """The token "hsm", its PIN in a file, and a section of the settings that names it."""

    def __init__(self, machine, section, **values):
        self.machine = machine
        self.section = section
        self.values = {**values, "module-path": MODULE, "pin-source": "file:pin"}
        self.folder = machine.directory / "tokens"
        self.folder.mkdir()
        configuration = machine.directory / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.folder}\n"
                                 "objectstore.backend = file\nlog.level = ERROR\n")
        machine.environment["SOFTHSM2_CONF"] = str(configuration)
        self.make("hsm")
        self.pin = machine.directory / "pin"
        self.write_pin(PIN)

    def make(self, label):
        done = self.machine.run("softhsm2-util", "--init-token", "--free", "--label", label,
                                "--so-pin", "1234", "--pin", PIN)
        assert done.returncode == 0, done.stderr

    def write_pin(self, text, mode=0o600):
        self.pin.write_text(text)
        self.pin.chmod(mode)

    def tool(self, *options):
        done = self.machine.run("pkcs11-tool", "--module", MODULE, "--token-label", "hsm",
                                "--login", "--pin", PIN, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def settings(self, cloud="", **changes):
        for name, value in changes.items():
            self.values[name.replace("_", "-")] = value
        lines = [f"{name} = {value}" for name, value in self.values.items() if value]
        self.machine.write_settings(cloud, **{self.section: "\n".join(lines)})

    def spy(self):
        """From now on, the calls of the module are written into the file that this returns."""
        if not SPY:
            pytest.skip("pkcs11-spy is not installed")
        calls = self.machine.directory / "calls"
        self.machine.environment.update(PKCS11SPY=str(MODULE), PKCS11SPY_OUTPUT=str(calls))
        self.settings(module_path=SPY)
        return calls

    def lose_the_cloud(self):
        self.settings("endpoint = https://127.0.0.1:1")
