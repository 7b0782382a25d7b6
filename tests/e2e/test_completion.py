# SPDX-License-Identifier: Apache-2.0
"""What bash, zsh and fish offer for the words of the aliyun-iot command."""
import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import termios

import pytest

from machine import COMMAND, PATIENCE_S, ROOT, sanitizer_environment

FOLDER = ROOT / "conf" / "completion"

pytestmark = pytest.mark.skipif(bool(sanitizer_environment()), reason="shells and scripts alone")

BASH = """source {folder}/aliyun-iot.bash
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_aliyun_iot
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

def offered_by_bash(machine, words):
    script = BASH.format(folder=FOLDER, words=" ".join(f"'{word}'" for word in words))
    return set(machine.run("bash", "--norc", "-c", script).stdout.split())


def offered_by_fish(machine, words):
    line = " ".join(words).replace("'", "")
    done = machine.run("fish", "--no-config", "-c",
                       f"source {FOLDER}/aliyun-iot.fish; complete -C '{line}'")
    return {text.split("\t")[0] for text in done.stdout.splitlines()}


@contextlib.contextmanager
def zsh(machine):
    """zsh completes only in a terminal. What it writes there after some text, until all is seen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    shell = machine.start("zsh", "-f", "-i", stdin=theirs, stdout=theirs, stderr=theirs,
                          environment={"TERM": "xterm"}, start_new_session=True,
                          preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(theirs)

    def type_and_see(text, awaited):
        os.write(ours, text.encode())
        screen = ""
        while not all(word in screen for word in awaited):
            assert select.select([ours], [], [], PATIENCE_S)[0], screen
            # Without the bell, and what moves the cursor.
            screen += re.sub("\a|\x1b\\[[0-9;?]*[A-Za-z]", "",
                             os.read(ours, 1 << 16).decode(errors="replace"))
        return re.sub(" -- .*", "", screen)

    try:
        type_and_see(f"PROMPT=; fpath=({FOLDER} $fpath); autoload -U compinit; compinit -u -D; "
                     "print rea''dy\n", ["ready"])
        yield type_and_see
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


CASES = [
    (["aliyun-iot", ""], {"agent", "audit", "policy", "show", "pem", "vault", "help"}),
    (["aliyun-iot", "po"], {"policy"}),
    (["aliyun-iot", "agent", ""], {"status", "list", "metrics", "evict", "reload"}),
    (["aliyun-iot", "policy", ""], {"check", "explain", "test", "grant", "revoke"}),
    (["aliyun-iot", "vault", "re"], {"rekey"}),
    (["aliyun-iot", "help", "s"], {"show"}),
    (["aliyun-iot", "show", "--"], {"--chain", "--pem", "--json"}),
    (["aliyun-iot", "vault", "status", "--"], {"--agent"}),
    (["aliyun-iot", "policy", "explain", "--operation", ""], {"load", "sign", "export"}),
    (["aliyun-iot", "policy", "grant", "--"],
     {"--policy", "--user", "--devices", "--operations", "--for", "--reason"}),
]


@pytest.mark.parametrize("words, expected", CASES, ids=lambda value: " ".join(value))
@pytest.mark.parametrize("shell, offered_by", [("bash", offered_by_bash), ("fish", offered_by_fish)])
def test_a_shell_offers_what_the_command_knows(machine, shell, offered_by, words, expected):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert offered_by(machine, words) - {"--help", "--version"} == expected


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_offers_what_the_command_knows(machine):
    with zsh(machine) as type_and_see:
        for number, (words, expected) in enumerate(CASES):
            # What the case before has drawn comes before this.
            type_and_see(f"\x15print mar''k-{number}\n", [f"mark-{number}"])
            screen = type_and_see(f"{' '.join(words)}\t", expected)
            others = set.union(*(offered for _, offered in CASES)) - expected - set(words)
            assert not [word for word in others
                        if re.search(rf"(?<![\w-]){word}(?![\w-])", screen)], screen


def words_of_help(machine):
    """All subcommands, their words and options, as the command itself tells them."""
    commands = re.findall(r"(?m)^  ([a-z]+) ", machine.run(COMMAND, "help").stdout)
    found = set(commands)
    for command in commands:
        text = machine.run(COMMAND, "help", command).stdout
        found.update(re.findall(r"--[a-z]+", text))
        for form in re.findall(rf"aliyun-iot {command} ([a-z|]+)", text):
            found.update(form.split("|"))
    return found


@pytest.mark.parametrize("file", ["aliyun-iot.bash", "_aliyun-iot", "aliyun-iot.fish"])
def test_a_script_of_completion_has_every_word_that_help_has(machine, file):
    text = (FOLDER / file).read_text()
    for word in words_of_help(machine):
        name = word.removeprefix("--")
        assert re.search(rf"(?<![\w]){name}(?![\w])", text), word
