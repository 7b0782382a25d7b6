# SPDX-License-Identifier: Apache-2.0
"""What the documents list is what the sources have, and no list lacks an entry."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from machine import MODULE, ROOT, sanitizer_environment

README = (ROOT / "README.md").read_text()
MAN_SETTINGS = (ROOT / "conf" / "man" / "aliyun-iot.conf.5").read_text()
MAN_PROVIDER = (ROOT / "conf" / "man" / "provider-aliyun-iot.7").read_text()
SAMPLE = (ROOT / "conf" / "aliyun-iot.conf").read_text()


def table_of_readme(header):
    """The rows of the table with this header, as lists of cells without their back quotes."""
    table = README.partition(header + "\n")[2].partition("\n\n")[0]
    assert table, f"README.md has no table {header}"
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[1:]]


def reasons():
    """The name of each error reason in reasons.h, and its text."""
    text = (ROOT / "include" / "private" / "reasons.h").read_text()
    return dict(re.findall(r'REASON\((\w+),\s*(?:\\\s*)?"Aliyun IoT: ([^"]+)"\)', text))


def reasons_of_engine():
    folder = ROOT / "provider" / "engine"
    text = "".join(path.read_text() for path in sorted(folder.glob("*.c")))
    # Literals that the compiler joins, with the macro NAME between some.
    text = re.sub(r'"\s*NAME\s*"', "aliyun-iot", text)
    found = re.findall(r'"Aliyun IoT: ((?:[^"\\]|\\.)+)"', re.sub(r'"\s*"', "", text))
    return [reason.replace("\\\\", "\\") for reason in found]


def settings(file="SETTINGS_PROGRAM"):
    """{(section, key): default or None} of the rows in settings_table.c that a file may have."""
    text = (ROOT / "fetch" / "base" / "settings_table.c").read_text()
    rows = re.findall(r'\{"([a-z]+)", "([a-z-]+)", (?:NULL|"([^"]*)"),([^{]*)', text)
    return {(section, key): default or None for section, key, default, rest in rows
            if ".files" not in rest or f".files = {file}" in rest}


def settings_of_the_agent_alone():
    return {key: default for key, default in settings("SETTINGS_AGENT").items()
            if key not in settings()}


def settings_of_readme():
    section, found = None, {}
    for cells in table_of_readme("| section | key | default | what it is |"):
        section = cells[0] or section
        found[section, cells[1]] = cells[2]
    return found


def settings_of_sample():
    found, section = {}, None
    for line in SAMPLE.splitlines():
        heading, setting = re.match(r"\[(.+)\]", line), re.match(r"# ([a-z-]+) = (.+)", line)
        if heading:
            section = heading[1]
        elif setting:
            found[section, setting[1]] = setting[2]
    return found


def settings_of_man_page(page=MAN_SETTINGS):
    """What aliyun-iot.conf(5) says of each key, without the macros."""
    found = {}
    for part in page.split("\n.Ss Section ")[1:]:
        section, _, rest = part.partition("\n")
        for item in re.split(r"\n\.S[hs] ", rest)[0].split("\n.It Cm ")[1:]:
            key, _, text = item.partition("\n")
            found[section, key] = re.sub(r"(?m)^\.[A-Z]\w (Fl )?", "", text)
    return found


def test_every_reason_of_the_public_header_has_a_text():
    header = (ROOT / "include" / "aliyun-iot" / "error.h").read_text()
    assert set(re.findall(r"ALIYUN_IOT_REASON_(\w+) = ", header)) == set(reasons())


def test_readme_says_what_to_do_about_every_reason_and_about_no_other():
    rows = [row[0] for row in table_of_readme("| the error says | what to do |")]
    # Rows in back quotes, and those of one program, are not errors of this project.
    ours = {row for row in rows if "`" not in row}
    assert len(rows) == len(set(rows))
    assert ours == {*reasons().values(), *reasons_of_engine()}


def test_readme_the_man_page_and_the_sample_have_every_setting_and_no_other():
    assert set(settings_of_readme()) == set(settings())
    assert set(settings_of_sample()) == set(settings())
    assert set(settings_of_man_page()) == set(settings())


def test_readme_the_man_page_and_the_sample_name_the_defaults_that_are():
    for name, default in settings().items():
        if default is None:
            continue
        assert settings_of_readme()[name] == default, name
        assert settings_of_sample()[name] == default, name
        text = settings_of_man_page()[name].partition("Default:")[2]
        assert default in (word.strip(".,;'()") for word in text.split()), name


def test_the_agents_man_page_has_the_settings_of_the_agent_alone():
    found = settings_of_man_page((ROOT / "conf" / "man" / "agent.conf.5").read_text())
    assert {*found} == {*settings_of_the_agent_alone()}
    for name, default in settings_of_the_agent_alone().items():
        text = found[name]
        assert default is None or default in text.partition("Default:")[2], name
        assert text.count("Default:") == 1, name
        assert f"Example:\n{name[1]} = " in text, name
    sample = (ROOT / "conf" / "agent.conf").read_text()
    for (_, key), default in settings_of_the_agent_alone().items():
        assert f"# {key} = {default or ''}" in sample


def test_the_man_page_of_the_policy_has_the_keys_of_rules():
    source = (ROOT / "fetch" / "agent" / "policy" / "rule.c").read_text()
    keys = re.findall(r'\{"([a-z-]+)", (?:ANY_EFFECT|RULE_\w+), rule_read', source)
    page = (ROOT / "conf" / "man" / "policy.conf.5").read_text().partition(".Ss Sections rule")[2]
    items = page.partition("\n.Ss ")[0].split("\n.It Cm ")[1:]
    assert [key for item in items for key in item.partition("\n")[0].split(" , ")] == keys
    for item in items:
        assert item.count("Default:") == item.count("Example:") == 1, item


def test_the_man_page_has_a_default_and_an_example_of_every_setting():
    for (section, key), text in settings_of_man_page().items():
        assert text.count("Default:") == 1, (section, key)
        assert text.count(f"Example:\n{key} = ") == 1, (section, key)


@pytest.mark.parametrize("page", sorted((ROOT / "conf" / "man").iterdir()), ids=lambda page: page.name)
def test_a_man_page_is_clean_and_has_its_sections(page):
    sections = re.findall(r"(?m)^\.Sh (.*)", page.read_text())
    assert {"NAME", "DESCRIPTION", "ENVIRONMENT", "FILES", "DIAGNOSTICS", "SEE ALSO"} <= set(sections)
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True, check=False)
    # The pages refer to each other before they are installed.
    assert [line for line in done.stdout.splitlines() if "referenced manual not found" not in line] \
        == []


def sample_of_openssl_cnf():
    """The lines of conf/openssl.cnf, without comments."""
    sample = (ROOT / "conf" / "openssl.cnf").read_text()
    return "".join(line for line in sample.splitlines(True) if not line.startswith("#"))


def lines_to_append():
    """What README.md says to append to Debian's openssl.cnf."""
    block = README.partition("tee -a /etc/ssl/openssl.cnf >/dev/null <<'END'\n")[2]
    return re.sub("(?m)^    ", "", block.partition("    END\n")[0])


def test_documents_show_the_openssl_cnf_that_is_installed():
    first, _, rest = sample_of_openssl_cnf().partition("\n")
    assert first == "openssl_conf = openssl_init"
    assert f"`{first}`" in README
    assert lines_to_append() == rest
    assert sample_of_openssl_cnf() in MAN_PROVIDER


# The lines of Debian's openssl.cnf that matter here, of Debian 12 and of trixie.
DEBIAN = {
    "Debian 12": """
openssl_conf = openssl_init
[openssl_init]
# providers = provider_sect
# [provider_sect]
# default = default_sect
# [default_sect]
# activate = 1
[ ca ]
default_ca = CA_default
""",
    "trixie": """
openssl_conf = openssl_init
[openssl_init]
providers = provider_sect
[provider_sect]
default = default_sect
[default_sect]
# activate = 1
[ ca ]
default_ca = CA_default
""",
}
SYSTEM = pathlib.Path("/etc/ssl/openssl.cnf")
if SYSTEM.exists():
    DEBIAN["this machine"] = SYSTEM.read_text()


@pytest.fixture(params=DEBIAN)
def with_lines(request, tmp_path):
    """Runs openssl with lines appended to Debian's openssl.cnf; returns what it printed."""
    def run(lines, *arguments):
        (tmp_path / "openssl.cnf").write_text(DEBIAN[request.param] + lines)
        environment = {"PATH": os.environ["PATH"], "OPENSSL_CONF": str(tmp_path / "openssl.cnf"),
                       "OPENSSL_MODULES": str(MODULE.parent), **sanitizer_environment()}
        done = subprocess.run(["openssl", *arguments], env=environment, input="", text=True,
                              capture_output=True, check=False)
        return done.stdout + done.stderr
    return run


def active_providers(listed):
    return set(re.findall(r"(?m)^  (\S+)\n(?:    .*\n)*?    status: active", listed))


def test_the_lines_of_readme_appended_to_debians_activate_both_providers(with_lines):
    assert active_providers(with_lines(lines_to_append(), "list", "-providers")) == \
        {"default", "aliyun-iot"}
    assert "e3b0c44298fc1c149afb" in with_lines(lines_to_append(), "dgst", "-sha256")


def test_without_the_line_of_the_default_provider_there_are_no_algorithms(with_lines):
    """This is why README.md, the sample and the man page warn of it."""
    lines = lines_to_append().replace("default = default_sect\n", "")
    lines = lines.replace("[default_sect]\nactivate = 1\n", "")
    assert active_providers(with_lines(lines, "list", "-providers")) == {"aliyun-iot"}
    assert "e3b0c44298fc1c149afb" not in with_lines(lines, "dgst", "-sha256")
    for document in (README, MAN_PROVIDER, (ROOT / "conf" / "openssl.cnf").read_text()):
        assert "# activate = 1" in document and "sshd" in document
