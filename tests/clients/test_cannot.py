# SPDX-License-Identifier: Apache-2.0
"""Programs that cannot connect as a device, and why: if one of them learns to, a test fails."""
import pathlib
import shutil
import subprocess

import pytest

row = pytest.mark.row


@pytest.fixture(autouse=True)
def installed(request):
    if not shutil.which(request.node.get_closest_marker("row").args[0], path="/usr/bin"):
        pytest.skip("not installed")


def needs_gnutls(program):
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    if "gnutls" not in linked:
        pytest.skip("not Debian's: built without GnuTLS")


def assert_connects_with_a_key_only(device, web, connect):
    """With the device's certificate and key in a file it does, with its PEM identity file not."""
    answer = device.cloud.control("GET", f"/device/{device.bare}")
    real = device.machine.directory / "real.pem"
    real.write_text(answer["certificate"] + answer["key"])
    done = connect(real)
    assert set(web.serials) == {device.serial}, done.stderr
    web.seen.clear()
    done = connect(device.identity())
    assert done.returncode != 0
    assert web.serials == []
    assert device.cloud.calls() == []


@row("git", "PEM identity file", cannot="Debian's uses GnuTLS")
def test_git_uses_gnutls(device, web):
    folder = subprocess.run(["/usr/bin/git", "--exec-path"], capture_output=True, text=True,
                            check=True).stdout.strip()
    needs_gnutls(pathlib.Path(folder) / "git-remote-https")
    assert_connects_with_a_key_only(device, web, lambda identity: device.machine.run(
        "/usr/bin/git", "-c", f"http.sslCert={identity}", "-c", f"http.sslKey={identity}", "-c",
        f"http.sslCAInfo={device.ca}", "ls-remote", web.url))


@row("wget", "PEM identity file", cannot="Debian's uses GnuTLS")
def test_wget_uses_gnutls(device, web):
    needs_gnutls("/usr/bin/wget")
    assert_connects_with_a_key_only(device, web, lambda identity: device.machine.run(
        "/usr/bin/wget", "--tries=1", "--output-document=-", f"--certificate={identity}",
        f"--private-key={identity}", f"--ca-certificate={device.ca}", web.url))
