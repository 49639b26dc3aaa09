"""Files of secrets as Docker and Kubernetes mount them: root's, and read by another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# All is imported before: this Python may be where the other user can't read.
READ = """
import encodings.utf_8_sig, os, sys
from gatelodge_core.auth.private import read_private
from gatelodge_core.errors import SettingsError
from gatelodge_github.credentials.files import read_private as token
os.setgroups([]); os.setgid(10001); os.setuid(10001)
for path in sys.argv[1:]:
    for read in (lambda: read_private(path, 100, "a secret")[1].decode(), lambda: token(path, "token_file", 100)[0].reveal()):
        try:
            print(read())
        except SettingsError as error:
            print("refused: " + ("open" if "is open to others" in str(error) else "unreadable" if "can't be read" in str(error) else str(error)))
"""


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can make files that belong to root and be another user")  # fmt: skip
@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare")
class TestASecretOfRoots:
    """Read by user 10001."""

    @staticmethod
    def read(folder: Path, mode: int, group: int, *, place: str, mount: str) -> list[str]:
        """What both readers of secrets say of a file of root's, with a folder mounted at a place."""
        secret = folder / "secret"
        secret.write_text("open sesame")
        secret.chmod(mode)
        os.chown(secret, 0, group)
        folder.chmod(0o755)
        # In a mount namespace of its own.
        steps = f'mkdir -p {place}; mount --bind "$1" {place}; mount -o remount,bind,{mount} {place}; shift; exec "$@"'
        hidden = f"mount -t tmpfs none /run; {steps}"
        command = [
            "unshare",
            "--mount",
            "sh",
            "-ec",
            hidden,
            "sh",
            str(folder),
            sys.executable,
            "-c",
            READ,
            f"{place}/secret",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "Operation not permitted" in done.stderr:
            pytest.skip("this machine gives no mounts")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def test_docker_mounts_it_open_to_all_read_only_at_a_place_of_its_own(self, tmp_path: Path) -> None:
        said = self.read(tmp_path, 0o444, 0, place="/run/secrets", mount="ro")
        assert said == ["open sesame", "open sesame"]

    def test_there_it_is_refused_if_anybody_could_write_it(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, 0o464, 0, place="/run/secrets", mount="ro") == ["refused: open"] * 2

    def test_there_it_is_refused_if_the_place_can_be_written(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, 0o444, 0, place="/run/secrets", mount="rw") == ["refused: open"] * 2

    def test_elsewhere_it_is_refused_however_it_is_mounted(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, 0o444, 0, place="/run/others", mount="ro") == ["refused: open"] * 2

    def test_kubernetes_mounts_it_for_a_group(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, 0o440, 10001, place="/run/others", mount="ro") == ["open sesame", "open sesame"]
        assert self.read(tmp_path, 0o460, 10001, place="/run/others", mount="ro") == ["refused: open"] * 2
        assert self.read(tmp_path, 0o400, 10001, place="/run/others", mount="ro") == ["refused: unreadable"] * 2
