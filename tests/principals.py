# SPDX-License-Identifier: Apache-2.0
"""Programs as other users, in other namespaces, and in cgroups that look like systemd's.

Each of these is a list of words that is put before a program's own.
"""
import contextlib
import os
import pathlib
import subprocess

import pytest

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")


def as_user(uid, gid=None, groups=()):
    """The program may read all files, so that it finds what it loads, and nothing more."""
    more = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid if gid is None else gid), *more,
            "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


IN_USER_NAMESPACE = ["unshare", "--user", "--map-root-user"]
IN_PID_NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]
IN_NETWORK_NAMESPACE = ["unshare", "--net"]


def cgroup_root():
    """Where cgroups of version 2 are, or None if none can be made."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        if after.startswith("cgroup2 "):
            root = pathlib.Path(before.split()[4])
            if os.access(root, os.W_OK):
                return root
    return None


@contextlib.contextmanager
def in_cgroup(path):
    """The folders of the path are made, and removed if nobody made them before."""
    root = cgroup_root()
    if not root or os.getuid() != 0:
        pytest.skip("no cgroup can be made here")
    made = []
    folder = root
    for part in path.split("/"):
        folder = folder / part
        if not folder.exists():
            try:
                folder.mkdir()
            except OSError as error:
                pytest.skip(f"no cgroup can be made here: {error}")
            made.append(folder)
    try:
        yield ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]
    finally:
        for folder in reversed(made):
            folder.rmdir()


class Accounts:
    """Users and groups of this machine, until close(). Their names are given without a prefix."""

    def __init__(self):
        self.users, self.groups = [], []

    def group(self, name):
        subprocess.run(["groupadd", "--system", name], check=True)
        self.groups.append(name)

    def user(self, name, *groups):
        more = ["--groups", ",".join(groups)] if groups else []
        subprocess.run(["useradd", "--system", "--no-create-home", *more, name], check=True)
        self.users.append(name)

    def close(self):
        for name in self.users:
            subprocess.run(["userdel", name], check=True, capture_output=True)
        for name in self.groups:
            subprocess.run(["groupdel", name], check=True, capture_output=True)
