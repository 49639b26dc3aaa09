"""`gatelodge keys` as a person uses it, alone and many at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import KEPT, MAX_KEYS, Grant, hashed, issue
from gatelodge_core.cli.__main__ import main

KEY = re.compile(r"glk_([a-z0-9]{10})_[A-Za-z0-9_-]{43}")
COMMAND = [sys.executable, "-m", "gatelodge_core.cli", "keys"]


class Told:
    """The command on one state folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys, self.folder = capsys, folder
        self.path = folder / "keys.json"
        self.out = self.err = ""

    def __call__(self, *arguments: str, status: int = 0) -> str:
        try:
            found = main(["keys", *arguments, "--state-dir", str(self.folder)])
        except SystemExit as end:
            found = end.code
        self.out, self.err = self._capsys.readouterr()
        assert found == status, self.err
        return self.out

    def json(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self(*arguments, "--json"))

    def add(self, name: str = "alice", *more: str) -> tuple[str, str]:
        text = self("add", "--name", name, "--scope", "filesystem:read", *more).strip()
        found = KEY.fullmatch(text)
        assert found is not None, text
        return text, found[1]

    def records(self) -> dict[str, dict[str, Any]]:
        return {key["id"]: key for key in self.json("list")["keys"]}


@pytest.fixture
def keys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Told:
    return Told(capsys, tmp_path / "state")


def test_a_key_is_shown_once_alone_on_standard_output(keys: Told) -> None:
    text, name = keys.add()
    assert "shown this once" in keys.err
    assert text not in keys.err
    for arguments in (["list"], ["list", "--json"]):
        shown = keys(*arguments) + keys.err
        assert name in shown
        assert text[15:] not in shown


def test_no_command_ever_shows_a_hash_or_the_pepper(keys: Told) -> None:
    text, name = keys.add()
    said: list[str] = []
    for arguments in (["list"], ["list", "--json"], ["rotate", name, "--json"], ["revoke", name, "--json"]):
        said += [keys(*arguments), keys.err]
    pepper = (keys.folder / "pepper.key").read_bytes().strip()
    for secret in (hashed(pepper, text).hex(), pepper.decode()):
        assert all(secret not in shown for shown in said)


def test_a_new_key_lives_90_days_unless_told_otherwise(keys: Told) -> None:
    made = datetime.now(UTC)
    for given, days in (
        ([], 90.0),
        (["--expires", "30d"], 30.0),
        (["--expires", "36h"], 1.5),
        (["--expires", "8w"], 56.0),
    ):
        name = keys.add("a", *given)[1]
        ends = datetime.fromisoformat(keys.records()[name]["expires"])
        assert abs(ends - made - timedelta(days=days)) < timedelta(minutes=1)
    name = keys.add("a", "--expires", "never")[1]
    assert keys.records()[name]["expires"] is None
    assert "without end" in keys.err or "never" in keys("list")


def test_a_key_holds_what_was_granted(keys: Told) -> None:
    made = keys.json(
        "add", "--name", "ci", "--scope", "github:write", "--scope", "websearch:read", "--scope", "github:write",
        "--tool", "list_*", "--tool", "get_issue", "--per-minute", "30",
    )  # fmt: skip
    record = keys.records()[made["id"]]
    assert record == {key: value for key, value in made.items() if key != "key"}
    assert (record["scopes"], record["tools"]) == (["github:write", "websearch:read"], ["list_*", "get_issue"])
    assert (record["per_minute"], record["state"]) == (30, "live")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "--name", "a"], "--scope"),
        (["add", "--scope", "filesystem:read"], "--name"),
        (["add", "--name", "a", "--scope", "files:read"], "SERVER:LEVEL"),
        (["add", "--name", "a", "--scope", "filesystem:all"], "SERVER:LEVEL"),
        (["add", "--name", "a", "--scope", "filesystem"], "SERVER:LEVEL"),
        (["add", "--name", "a", "--scope", "*:read"], "SERVER:LEVEL"),
        (["add", "--name", "a", "--scope", "filesystem:read "], "SERVER:LEVEL"),
        (["add", "--name", "a:b", "--scope", "filesystem:read"], "letters"),
        (["add", "--name", "", "--scope", "filesystem:read"], "letters"),
        (["add", "--name", "a" * 65, "--scope", "filesystem:read"], "64"),
        (["add", "--name", "a\n", "--scope", "filesystem:read"], "letters"),
        (["add", "--name", "a", "--scope", "filesystem:read", "--expires", "0d"], "12h"),
        (["add", "--name", "a", "--scope", "filesystem:read", "--expires", "-1d"], "expires"),
        (["add", "--name", "a", "--scope", "filesystem:read", "--expires", "99999w"], "ten years"),
        (["add", "--name", "a", "--scope", "filesystem:read", "--per-minute", "0"], "999999"),
        (["add", "--name", "a", "--scope", "filesystem:read", "--tool", "[a-z]"], "tool"),
        (["rotate", "abcdefghjk", "--grace", "never"], "12h"),
        (["revoke"], "ID, or --name"),
        (["revoke", "abcdefghjk", "--name", "a"], "ID, or --name"),
        ([], "VERB"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_and_makes_nothing(keys: Told, arguments: list[str], says: str) -> None:
    keys(*arguments, status=2)
    assert says in keys.err
    assert not keys.path.exists()


def test_without_keys_the_list_says_how_to_make_one(keys: Told) -> None:
    assert "gatelodge keys add --name NAME --scope" in keys("list")
    assert not keys.folder.exists()


def test_rotation_makes_a_like_key_and_ends_the_old_one_after_the_grace(keys: Told) -> None:
    _, old = keys.add("alice", "--tool", "read_*", "--per-minute", "9", "--expires", "40d")
    made = keys.json("rotate", old, "--grace", "2h")
    before, after = keys.records()[old], keys.records()[made["id"]]
    same = ("name", "scopes", "tools", "per_minute")
    assert [before[field] for field in same] == [after[field] for field in same]
    now = datetime.now(UTC)
    assert abs(datetime.fromisoformat(before["expires"]) - now - timedelta(hours=2)) < timedelta(minutes=1)
    assert abs(datetime.fromisoformat(after["expires"]) - now - timedelta(days=40)) < timedelta(minutes=1)
    assert {before["state"], after["state"]} == {"live"}
    assert list(keys.records()) == [old, made["id"]]


def test_rotation_never_makes_an_old_key_live_longer(keys: Told) -> None:
    _, old = keys.add("alice", "--expires", "1h")
    ends = keys.records()[old]["expires"]
    keys("rotate", old, "--grace", "30d")
    assert keys.records()[old]["expires"] == ends


def test_a_rotation_without_grace_ends_the_old_key_at_once(keys: Told) -> None:
    _, old = keys.add("alice", "--expires", "never")
    made = keys.json("rotate", old, "--grace", "0", "--expires", "1d")
    assert keys.records()[old]["state"] == "expired"
    assert keys.records()[made["id"]]["expires"] is not None
    assert keys.json("rotate", made["id"], "--expires", "never")["expires"] is None
    keys("rotate", old, status=1)
    assert "gatelodge keys add --name alice" in keys.err


def test_revoking_is_by_id_or_for_all_keys_of_a_name(keys: Told) -> None:
    _, one = keys.add("alice")
    _, two = keys.add("alice")
    _, bob = keys.add("bob")
    assert two in keys("revoke", one)  # alice still has another
    assert [keys.records()[name]["state"] for name in (one, two, bob)] == ["revoked", "live", "live"]
    when = keys.records()[one]["revoked"]
    assert "already" in keys("revoke", one)
    assert keys.records()[one]["revoked"] == when
    assert keys.json("revoke", "--name", "alice") == {"revoked": [two]}
    assert [keys.records()[name]["state"] for name in (one, two, bob)] == ["revoked", "revoked", "live"]
    keys("revoke", "--name", "alice", status=1)
    keys("revoke", "--name", "nobody", status=1)
    keys("rotate", one, status=1)


def test_a_whole_key_given_as_an_id_is_not_repeated(keys: Told) -> None:
    text, _ = keys.add()
    for verb in ("revoke", "rotate"):
        keys(verb, text, status=1)
        assert text[15:] not in keys.err + keys.out


def test_a_revoked_key_leaves_the_list_after_its_time_and_a_live_one_never(keys: Told) -> None:
    keys.folder.mkdir(mode=0o700)
    file = KeyFile(str(keys.path))
    long_ago = datetime.now(UTC) - KEPT - timedelta(days=1)
    with file.changing() as found:
        for name, revoked in (("gone", True), ("stays", False)):
            made = issue(Grant(name, ("filesystem:read",)), file.pepper, long_ago)[1]
            found.append(made.model_copy(update={"revoked": long_ago}) if revoked else made)
    keys.add("new")
    assert [key["name"] for key in keys.json("list")["keys"]] == ["stays", "new"]


def test_there_is_a_most_number_of_keys(keys: Told) -> None:
    keys.folder.mkdir(mode=0o700)
    file = KeyFile(str(keys.path))
    made = issue(Grant("a", ("filesystem:read",)), b"x", datetime.now(UTC))[1]
    with file.changing() as found:
        found += [made.model_copy(update={"id": f"{number:010}"}) for number in range(MAX_KEYS)]
    keys("add", "--name", "b", "--scope", "filesystem:read", status=2)
    assert "OAuth" in keys.err
    assert len(keys.records()) == MAX_KEYS


def test_a_file_that_can_not_be_used_is_said_and_kept(keys: Told) -> None:
    keys.add()
    content = keys.path.read_bytes().replace(b"alice", b"malic")
    keys.path.write_bytes(content)
    for arguments in (["list"], ["add", "--name", "b", "--scope", "filesystem:read"], ["revoke", "--name", "malic"]):
        keys(*arguments, status=2)
        assert f"{keys.path}: was changed" in keys.err
    assert keys.path.read_bytes() == content


def test_flags_environment_and_settings_file_lead_to_the_same_keys_as_the_servers(
    keys: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    path = tmp_path / "own" / "k.json"
    config.write_text(
        f'keys_file = "{path}"\nkey_pepper = "{"q" * 40}"\n[filesystem]\nroots = ["/"]\n', encoding="utf-8"
    )
    _, by_file = keys.add("alice", "--config", str(config))
    assert not (tmp_path / "own" / "pepper.key").exists()
    monkeypatch.setenv("GATELODGE_KEYS_FILE", str(path))
    monkeypatch.setenv("GATELODGE_KEY_PEPPER", "q" * 40)
    assert list(keys.records()) == [by_file]
    monkeypatch.setenv("GATELODGE_KEY_PEPPER", "r" * 40)
    keys("list", status=2)
    assert "another pepper" in keys.err
    assert "q" * 40 not in keys.err
    assert "r" * 40 not in keys.err
    monkeypatch.setenv("GATELODGE_KEYS_FIEL", "x")
    keys("list", status=2)
    assert "GATELODGE_KEYS_FIEL: there is no such setting" in keys.err


def test_a_key_that_could_not_be_shown_is_named_so_that_it_can_be_taken_back(keys: Told) -> None:
    arguments = ["add", "--name", "a", "--scope", "filesystem:read", "--state-dir", str(keys.folder)]
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    (name,) = keys.records()
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"gatelodge keys revoke {name}")
    assert "Exception" not in done.stderr


def test_commands_at_the_same_time_lose_nothing(keys: Told) -> None:
    folder = str(keys.folder)
    old = [keys.add(f"old{number}")[1] for number in range(6)]

    def command(arguments: tuple[str, ...]) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments, "--state-dir", folder, "--json"],
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        return done.stdout

    jobs: list[tuple[str, ...]] = [
        ("add", "--name", f"new{number}", "--scope", "filesystem:read") for number in range(10)
    ]
    jobs += [("revoke", name) for name in old[:3]] + [("rotate", name) for name in old[3:]]
    with ThreadPoolExecutor(8) as pool:
        made = [json.loads(text) for text in pool.map(command, jobs)]
    after = keys.records()
    assert len(after) == 6 + 10 + 3
    assert {item["id"] for item in made if "id" in item} <= after.keys()
    assert [after[name]["state"] for name in old[:3]] == ["revoked"] * 3
    soon = datetime.now(UTC) + timedelta(hours=25)
    assert all(datetime.fromisoformat(after[name]["expires"]) < soon for name in old[3:])
    assert list(after)[:6] == old


def test_threads_and_processes_of_first_commands_agree_on_one_pepper(keys: Told) -> None:
    """All find no folder, no pepper and no keys."""
    start = threading.Barrier(8)

    def add(number: int) -> None:
        start.wait(30)
        subprocess.run(
            [*COMMAND, "add", "--name", f"n{number}", "--scope", "filesystem:read", "--state-dir", str(keys.folder)],
            capture_output=True, timeout=90, check=True,
        )  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert len(keys.records()) == 8


_CHANGES = """
import sys
from datetime import UTC, datetime
from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import Grant, issue
file = KeyFile(sys.argv[1])
print("begun", flush=True)
while True:
    with file.changing() as keys:
        del keys[50:]
        keys.insert(0, issue(Grant("a", ("filesystem:read",)), file.pepper, datetime.now(UTC))[1])
"""


def test_a_killed_command_leaves_a_whole_file_and_no_lock(keys: Told) -> None:
    keys.add()
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", _CHANGES, str(keys.path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        # In the midst of whatever it does: it changes the file some hundred times a second.
        seen = keys.path.stat().st_ino
        deadline = time.monotonic() + 30
        while keys.path.stat().st_ino == seen:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
        assert len(KeyFile(str(keys.path)).read()[1]) >= 2
    keys.add("after")
    left = {path.name for path in keys.folder.iterdir()}
    assert left == {"keys.json", "keys.json.lock", "pepper.key"}


def test_the_folder_and_its_files_are_private_whatever_the_umask(keys: Told) -> None:
    old = os.umask(0)
    try:
        keys.add()
    finally:
        os.umask(old)
    assert keys.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.folder.iterdir()} == {0o600}


def test_a_folder_that_others_can_change_is_refused(keys: Told) -> None:
    keys.folder.mkdir()
    keys.folder.chmod(0o777)
    keys("add", "--name", "a", "--scope", "filesystem:read", status=2)
    assert "chmod go-w" in keys.err
    assert not keys.path.exists()
