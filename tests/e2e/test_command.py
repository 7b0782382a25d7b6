# SPDX-License-Identifier: Apache-2.0
"""The aliyun-iot command, and what meson install puts where."""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

from machine import BUILD, COMMAND, ROOT

URI = "aliyun-iot://a1X509rsa00/device-1"


def test_show_describes_the_certificate_and_never_the_key(machine, cloud):
    done = machine.run(COMMAND, "show", URI)
    assert done.returncode == 0, done.stderr
    fields = dict(line.split(":", 1) for line in done.stdout.splitlines())
    fields = {name: value.strip() for name, value in fields.items()}
    device = cloud.control("GET", "/device/a1X509rsa00/device-1")
    assert fields["subject"] == "CN=Alibaba Cloud IoT Certificate"
    assert "CN=Alibaba Cloud IoT Operation CA1" in fields["issuer"]
    assert int(fields["serial"], 16) == int(device["serial"])
    assert fields["CertSN"] == device["sn"]
    assert fields["key"] == "RSA 2048 bits"
    assert fields["fingerprint"].replace(":", "").lower() == "sha256 " + device["fingerprint"]
    assert fields["not after"].startswith("Jan  1 00:00:00 2120")
    assert fields["RequestId"] == cloud.calls()[0]["request_id"]
    for line in device["key"].splitlines():
        assert line not in done.stdout


CHAIN_URI = "aliyun-iot://a1X509chain/device-1"


def test_show_describes_the_whole_chain(machine):
    one, all_of_it = (machine.run(COMMAND, "show", *options, CHAIN_URI) for options in ([], ["--chain"]))
    assert (one.returncode, all_of_it.returncode) == (0, 0), all_of_it.stderr
    assert re.findall("certificates: +(.*)", one.stdout) == ["2"]
    assert one.stdout.count("subject:") == 1 and all_of_it.stdout.count("subject:") == 2
    issuers, subjects = (re.findall(f"{label}: +(.*)", all_of_it.stdout)
                         for label in ("issuer", "subject"))
    assert issuers[0] == subjects[1]


def test_show_writes_json_for_programs(machine, cloud):
    done = machine.run(COMMAND, "show", "--json", CHAIN_URI)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    device = cloud.control("GET", "/device/a1X509chain/device-1")
    assert shown["serial_number"] == device["sn"]
    assert shown["request_id"] == cloud.calls()[0]["request_id"]
    leaf, issuer = shown["certificates"]
    assert set(leaf) == set(issuer) == {"subject", "issuer", "serial", "not_before", "not_after",
                                        "key", "fingerprint"}
    assert leaf["issuer"] == issuer["subject"]
    assert int(leaf["serial"], 16) == int(device["serial"])
    assert re.fullmatch(r"2120-01-01 00:00:00Z", leaf["not_after"])


def test_show_writes_pem_for_programs(machine):
    chain = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n",
                       machine.identity_file(CHAIN_URI).read_text(), re.DOTALL)
    assert machine.run(COMMAND, "show", CHAIN_URI, "--pem").stdout == chain[0]
    assert machine.run(COMMAND, "show", "--pem", "--chain", CHAIN_URI).stdout == "".join(chain)


def test_pem_writes_chain_and_identity_block_and_no_secret(machine, cloud):
    path = machine.identity_file("aliyun-iot://a1X509chain/device-1")
    text = path.read_text()
    assert text.count("BEGIN CERTIFICATE") == 2
    assert text.count("BEGIN ALIYUN-IOT IDENTITY") == 1
    assert "PRIVATE KEY" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in machine.directory.glob("identity.pem*")] == ["identity.pem"]
    assert machine.run(COMMAND, "pem", "aliyun-iot://a1X509chain/device-1").stdout == text


def test_pem_replaces_a_file_whole_or_not_at_all(machine):
    path = machine.identity_file(URI)
    before = path.read_text()
    done = machine.run(COMMAND, "pem", "aliyun-iot://a1X509rsa00/nowhere", "-o", path)
    assert done.returncode == 1
    assert path.read_text() == before
    done = machine.run(COMMAND, "pem", URI, "-o", machine.directory / "no" / "folder.pem")
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_an_error(machine):
    done = machine.run("sh", "-c", f"{COMMAND} show {URI} >/dev/full")
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert machine.run(COMMAND, "pem", URI, "-o", "/dev/full").returncode == 1


@pytest.mark.parametrize("arguments", [
    [], ["frobnicate"], ["show"], ["show", "--xml", URI], ["show", "--json", "--pem", URI], ["show", URI, URI], ["pem"], ["pem", URI, "-o"],
    ["pem", URI, "--verbose"], ["pem", URI + "?object=cert"], ["vault"], ["agent"],
    ["help", "show", "pem"]], ids=" ".join)
def test_wrong_usage_is_status_2_and_one_line(machine, arguments):
    done = machine.run(COMMAND, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


COMMANDS = {"agent": ["status", "list", "metrics", "evict", "reload"], "audit": ["verify", "show"],
            "policy": ["check", "explain", "test", "grant", "revoke"], "show": [], "pem": [],
            "vault": ["init", "status", "verify", "purge", "rekey"]}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]], ids=" ".join)
def test_help_lists_every_command_and_the_version_is_on_standard_output(machine, arguments):
    assert machine.run(COMMAND, "--version").stdout.startswith("aliyun-iot ")
    done = machine.run(COMMAND, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"(?m)^  ([a-z]+) +[a-z]", done.stdout) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_names_its_subcommands_and_options_as_the_man_page_does(machine, command):
    page = (ROOT / "conf/man/aliyun-iot.1").read_text()
    synopsis = page.partition(".Sh SYNOPSIS")[2].partition(".Sh ")[0]
    forms = re.findall(rf"\.Nm\n\.Cm ({command}\b.*(?:\n\.(?!Nm).*)*)", synopsis)
    texts = [machine.run(COMMAND, *arguments) for arguments in (
        ["help", command], [command, "--help"], [command, "x", "-h"])]
    assert {(done.returncode, done.stderr) for done in texts} == {(0, "")}
    assert len({done.stdout for done in texts}) == 1
    text = texts[0].stdout
    assert text.startswith(f"Usage: aliyun-iot {command} ") and "See aliyun-iot(1)." in text
    for word in COMMANDS[command]:
        assert re.search(rf"\b{word}\b", " ".join(forms)), word
        assert re.search(rf"aliyun-iot {command} (?:[a-z|]+\|)?{word}\b", text), word
    for option in re.findall(r"Fl -(\w+)", " ".join(forms)):
        assert f"--{option}" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("typed, meant", [
    ("shwo", "show"), ("polcy check", "policy"), ("vaults", "vault"), ("vault inti", "init"),
    ("agent relod", "reload"), ("audit verfy", "verify"), ("policy grnat", "grant"),
    ("help aduit", "audit")])
def test_a_mistyped_word_is_recognized(machine, typed, meant):
    done = machine.run(COMMAND, *typed.split())
    assert done.returncode == 2 and done.stdout == ""
    assert f'"{typed.split()[-1] if " " in typed and "check" not in typed else typed.split()[0]}", ' \
        f'did you mean "{meant}"? See aliyun-iot help' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("typed", ["x", "frobnicate", "a" * 5000, "\x1b[31mshow\x1b[0m", "vault x\ny",
                                   "agent é", "help x"])
def test_a_word_that_is_like_none_is_refused_on_one_line(machine, typed):
    done = machine.run(COMMAND, *typed.split(" "))
    assert done.returncode == 2 and done.stdout == "" and "did you mean" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and len(done.stderr) < 300
    assert all(" " <= character <= "~" for character in done.stderr[:-1])


def test_meson_install_puts_everything_in_its_place(machine):
    meson = shutil.which("meson", path="/usr/bin:/usr/local/bin:" + os.environ["PATH"])
    subprocess.run([meson, "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir",
                    str(machine.directory / "root")], check=True, capture_output=True)
    root = machine.directory / "root"
    installed = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    modules = subprocess.run(["pkg-config", "--variable=modulesdir", "libcrypto"],
                             capture_output=True, text=True, check=True).stdout.strip()
    assert f"{modules.lstrip('/')}/aliyun-iot.so" in installed
    for ending in ("/bin/aliyun-iot", "/libaliyun-iot.so.0", "/aliyun-iot/cloud.so",
                   "/include/aliyun-iot/identity.h",
                   "/include/aliyun-iot/error.h", "/pkgconfig/aliyun-iot.pc",
                   "/man1/aliyun-iot.1", "/man5/aliyun-iot.conf.5",
                   "/man7/provider-aliyun-iot.7", "/bash-completion/completions/aliyun-iot",
                   "/zsh/vendor-completions/_aliyun-iot",
                   "/fish/vendor_completions.d/aliyun-iot.fish"):
        assert any(path.endswith(ending) for path in installed), ending
    library = next(path for path in root.rglob("libaliyun-iot.so.0"))
    cnf = machine.directory / "openssl.cnf"
    text = cnf.read_text()
    cnf.write_text(text.replace(str(BUILD / "provider"), str(root) + modules))
    done = machine.run("openssl", "storeutl", "-noout", URI, environment={
        "LD_LIBRARY_PATH": str(library.parent),
        "ALIYUN_IOT_MODULES": str(library.parent / "aliyun-iot")})
    assert done.returncode == 0, done.stderr


def test_the_module_exports_one_function_and_links_libcrypto_alone():
    module = BUILD / "provider" / "aliyun-iot.so"
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(module)], capture_output=True,
                             text=True, check=True).stdout.split()
    if not os.environ.get("ALIYUN_IOT_SANITIZED"):
        assert symbols[1:] == ["T", "OSSL_provider_init"]
    needed = subprocess.run(["readelf", "-d", str(module)], capture_output=True, text=True,
                            check=True).stdout
    needed = {line.split("[")[1].split(".so")[0] for line in needed.splitlines()
              if "NEEDED" in line}
    # A thread-local variable needs the dynamic loader, a part of libc.
    needed = {name for name in needed if not name.startswith("ld-linux")}
    assert needed - {"libasan", "libubsan", "libtsan"} == {"libcrypto", "libc"}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_the_tree_has_only_the_folders_that_it_should():
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True,
                           text=True, check=True)
    top = {name.split("/")[0] for name in names.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= {
        "meson.build", "meson_options.txt", "provider", "fetch", "include", "tests", "conf",
        "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"}
