# SPDX-License-Identifier: Apache-2.0
"""The commands of README.md's section Install give a release in /usr, whatever was run before."""
import json
import os
import re
import shutil
import subprocess
import textwrap

import pytest

from machine import ROOT

README = (ROOT / "README.md").read_text()


def commands_below(heading):
    """The indented blocks below a heading of README.md, without sudo, as root would type them."""
    section = re.split(r"(?m)^#+ ", README.partition(f"\n{heading}\n")[2])[0]
    blocks = re.findall(r"(?m)(?:^    .*\n|^\n(?=    ))+", section)
    return [textwrap.dedent(block).strip().replace("sudo ", "") for block in blocks]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, in which the demo has configured its own build folder."""
    if os.getuid() != 0:
        pytest.skip("needs root, to install into an overlay of /usr and /etc")
    folder = tmp_path_factory.mktemp("sources")
    names = [*(path.name for path in ROOT.iterdir() if path.suffix in (".build", ".txt", ".md"))]
    for name in ["conf", "fetch", "include", "provider", "tests", *names]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    subprocess.run(["meson", "setup", "build"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def apart(sources, tmp_path_factory):
    """Runs a script where /usr and /etc are the machine's, but what it writes there is in a folder."""
    layers = tmp_path_factory.mktemp("layers")
    mount = ["set -e"]
    for name in ("usr", "etc"):
        (layers / name / "work").mkdir(parents=True)
        (layers / name / "upper").mkdir()
        mount.append(f"mount -t overlay overlay -o lowerdir=/{name},upperdir={layers}/{name}/upper,"
                     f"workdir={layers}/{name}/work /{name}")

    def run(script):
        return subprocess.run(["unshare", "--mount", "sh", "-c", "\n".join([*mount, script])],
                              cwd=sources, capture_output=True, text=True, check=False,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent"})
    if run("true").returncode:
        pytest.skip("overlays cannot be mounted here")
    return run


@pytest.fixture(scope="module")
def installed(apart):
    """What README.md says below Install and Activate it has been done. Returns apart."""
    for command in [commands_below("## Install")[1], *commands_below("### Activate it")[:1]]:
        done = apart(command)
        assert done.returncode == 0, done.stdout + done.stderr
    return apart


def test_the_build_is_a_release_for_usr(installed, sources):
    done = subprocess.run(["meson", "introspect", "--buildoptions", "build-release"], cwd=sources,
                          capture_output=True, text=True, check=True)
    options = {option["name"]: option["value"] for option in json.loads(done.stdout)}
    assert (options["buildtype"], options["prefix"]) == ("release", "/usr")


def test_the_provider_is_active_and_finds_its_library(installed):
    show = commands_below("### Activate it")[-1]
    assert show == "openssl list -providers"
    done = installed(show)
    assert len(re.findall("status: active", done.stdout)) == 2, done.stdout + done.stderr
    assert "aliyun-iot" in done.stdout
    done = installed("openssl storeutl -noout 'aliyun-iot://a1X509rsa00/?' || aliyun-iot --version")
    assert "malformed URI" in done.stderr
    assert done.stdout.startswith("aliyun-iot ")


def test_uninstalling_leaves_no_file(installed, sources):
    command, = commands_below("### Uninstall")
    done = installed(command + " && find /usr -path '*aliyun-iot*' ! -type d && openssl list -providers")
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith("/usr/")]
    assert [path for path in found if not path.startswith(str(sources))] == []
    # The lines in openssl.cnf do no harm without the module.
    assert "status: active" in done.stdout
