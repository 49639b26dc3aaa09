"""A host's file is never lost: damaged, linked, read-only, huge, or written by somebody else at the same time."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core.cli.hosts import HOSTS, swap, writing
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.cli.hosts.writing import rewrite
from gatelodge_core.errors import SettingsError

from tests.hosts.support import Home

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("host", "data"),
    [
        ("cursor", b'{"mcpServers": {"o": {"command": "s3cr3t"}'),
        ("cursor", b'{"mcpServers": {}} trailing'),
        ("cursor", b'{"mcpServers": []}'),
        ("cursor", b'{"mcpServers": {}, "mcpServers": {"a": {}}}'),
        ("cursor", b'{"mcpServers": {"gatelodge-filesystem": {}, "gatelodge-filesystem": {"command": "x"}}}'),
        ("cursor", b'{"mcpServers": {"gatelodge-filesystem": 1}}'),
        ("cursor", b"[1, 2]"),
        ("cursor", b'{"a": "caf\xe9"}'),
        ("cursor", '{"a": 1}'.encode("utf-16")),
        ("cursor", b"\x00" * 100),
        ("vscode", b'{"inputs": {}, "servers": {}}'),
        ("codex", b'[mcp_servers.gatelodge-filesystem]\ncommand = "s3cr3t\n'),
        ("codex", b"a = 1\na = 2\n"),
        ("codex", b'mcp_servers = {o = {command = "x"}}\n'),
        ("goose", b"extensions:\n  a: *x\n"),
        ("goose", b"extensions:\n  a: 1\nextensions:\n  b: 1\n"),
        ("goose", b"extensions: {a: {cmd: x}}\n"),
    ],
)
def test_what_cant_be_understood_is_refused_and_stays_byte_for_byte(host: str, data: bytes, home: Home) -> None:
    path = home.write(host, data)
    for ran in (home.install(host, "filesystem", "github", "--root", str(home.root)), home.uninstall(host)):
        assert path.read_bytes() == data
        assert "s3cr3t" not in ran.out + ran.err
    ran = home.install(host, "filesystem", "github", "--root", str(home.root))
    assert ran.status == 2
    assert str(path) in ran.err
    assert home.backups() == []
    assert sorted(item.name for item in path.parent.iterdir()) == [path.name]


def test_byte_order_mark_line_ends_comments_and_trailing_commas_stay(home: Home) -> None:
    text = b'\xef\xbb\xbf{\r\n\t// mine\r\n\t"servers": {\r\n\t\t"o": {"command": "x"}, /* c */\r\n\t},\r\n}\r\n'
    path = home.write("vscode", text)
    home.install("vscode")
    changed = path.read_bytes()
    assert changed.startswith(b"\xef\xbb\xbf{\r\n\t// mine\r\n")
    assert changed.count(b"\n") == changed.count(b"\r\n") > text.count(b"\r\n")
    home.uninstall("vscode")
    assert path.read_bytes() == text


def test_a_link_is_written_through_and_stays_one(home: Home, tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles" / "cursor.json"
    dotfiles.parent.mkdir()
    dotfiles.write_text("{}", encoding="utf-8")
    path = home.file("cursor")
    path.parent.mkdir()
    middle = tmp_path / "middle"
    middle.symlink_to(dotfiles)
    path.symlink_to(middle)
    assert home.install("cursor").status == 0
    assert path.is_symlink()
    assert middle.is_symlink()
    assert "gatelodge-filesystem" in dotfiles.read_text(encoding="utf-8")
    assert home.uninstall("cursor").status == 0
    assert dotfiles.read_text(encoding="utf-8") == "{}"
    # A link to nothing: what it names is made, and goes again.
    dotfiles.unlink()
    assert home.install("cursor").status == 0
    assert dotfiles.exists()
    assert home.uninstall("cursor").status == 0
    assert path.is_symlink()
    assert not dotfiles.exists()


def test_a_link_in_a_circle_and_a_folder_are_told(home: Home) -> None:
    path = home.file("cursor")
    path.parent.mkdir()
    path.symlink_to(path)
    assert home.install("cursor").status == 2
    path.unlink()
    path.mkdir()
    ran = home.install("cursor")
    assert (ran.status, "is no file" in ran.err) == (2, True)


def test_mode_owner_and_attributes_stay(home: Home) -> None:
    path = home.write("cursor", "{}")
    path.chmod(0o640)
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
    marked = True
    try:
        os.setxattr(path, "user.mark", b"x")
    except OSError:
        marked = False  # this file system has none
    before = path.stat()
    assert home.install("cursor").status == 0
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert not marked or os.getxattr(path, "user.mark") == b"x"


def test_all_names_of_a_file_stay(home: Home, tmp_path: Path) -> None:
    path = home.write("cursor", "{}")
    os.link(path, tmp_path / "other")
    home.install("cursor")
    assert "gatelodge" in (tmp_path / "other").read_text(encoding="utf-8")
    home.uninstall("cursor")
    assert (tmp_path / "other").read_text(encoding="utf-8") == "{}"


def test_a_read_only_file_is_left_alone_and_the_way_out_is_told(home: Home) -> None:
    path = home.write("cursor", "{}")
    path.chmod(0o444)
    ran = home.install("cursor")
    assert (ran.status, path.read_text(encoding="utf-8")) == (2, "{}")
    assert f"chmod u+w '{path}'" in ran.err


def test_a_folder_that_cant_be_written_is_told_and_nothing_is_lost() -> None:
    # In a process of its own that is nobody, as root may write anywhere, and in a folder that nobody can reach.
    script = textwrap.dedent("""
        import os, random, sys
        from gatelodge_core.cli.hosts.writing import rewrite
        from gatelodge_core.errors import SettingsError
        if os.getuid() == 0:
            os.setgid(65534); os.setuid(65534)
        try:
            rewrite(sys.argv[1], lambda text: "new", lambda data: None, private=True)
        except SettingsError as error:
            print(error)
    """)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "mcp.json"
        path.write_text("{}", encoding="utf-8")
        path.chmod(0o666)
        folder.chmod(0o555)
        command = [sys.executable, "-c", script, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "can't be written" in done.stdout
        assert str(folder) in done.stdout
        assert path.read_text(encoding="utf-8") == "{}"
        assert [item.name for item in folder.iterdir()] == ["mcp.json"]
        folder.chmod(0o755)


def test_a_huge_file_is_changed_like_any_other(home: Home) -> None:
    history = {f"/work/{number}": {"history": [{"display": "x" * 200, "n": number}] * 20} for number in range(400)}
    text = json.dumps({"numStartups": 1, "projects": history, "mcpServers": {}}, indent=2)
    assert len(text) > 2_000_000
    path = home.write("claude-code", text)
    assert home.install("claude-code").status == 0
    assert json.loads(path.read_text(encoding="utf-8"))["projects"] == history
    assert home.uninstall("claude-code").status == 0
    assert path.read_text(encoding="utf-8") == text


def test_a_file_too_large_to_be_a_configuration_is_refused(home: Home) -> None:
    path = home.write("cursor", "{}")
    os.truncate(path, 65 * 1024 * 1024)
    assert "larger than" in home.install("cursor").err


@pytest.fixture(params=["swap", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """With and without a file system that can exchange two names."""
    if request.param == "rename":

        def unable(one: str, other: str) -> bool:
            return False

        monkeypatch.setattr(writing, "swap", unable)
    else:
        one, other = tmp_path / "one", tmp_path / "other"
        one.write_text("1", encoding="ascii")
        other.write_text("2", encoding="ascii")
        if not swap.swap(str(one), str(other)):
            pytest.skip("this file system can't exchange two names")
        assert one.read_text(encoding="ascii") == "2"
    return str(request.param)


def adding(name: str) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text or "{}"), name: 1})


@pytest.mark.parametrize("in_place", [True, False])
def test_what_is_written_while_we_think_is_taken_in(way: str, in_place: bool, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text("{}", encoding="utf-8")
    rounds: list[str] = []

    def edit(text: str) -> str:
        # The host writes after we have read, three times.
        new = adding("ours")(text)
        if len(rounds) < 3:
            rounds.append(text)
            theirs = json.dumps({**json.loads(path.read_text(encoding="utf-8")), f"theirs{len(rounds)}": 1})
            if in_place:
                path.write_text(theirs, encoding="utf-8")
            else:
                (tmp_path / "x").write_text(theirs, encoding="utf-8")
                (tmp_path / "x").replace(path)
        return new

    result = rewrite(str(path), edit, lambda data: None, private=True)
    assert json.loads(path.read_text(encoding="utf-8")) == {"ours": 1, "theirs1": 1, "theirs2": 1, "theirs3": 1}
    assert result.after == path.read_text(encoding="utf-8")
    assert [item.name for item in tmp_path.iterdir() if "gatelodge" in item.name] == []


def test_a_file_that_appears_while_we_think_is_taken_in(way: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"

    def edit(text: str) -> str:
        if not path.exists():
            path.write_text('{"theirs": 1}', encoding="utf-8")
        return adding("ours")(text)

    rewrite(str(path), edit, lambda data: None, private=True)
    assert json.loads(path.read_text(encoding="utf-8")) == {"ours": 1, "theirs": 1}


def test_a_file_that_vanishes_while_we_think_is_made_anew(way: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"theirs": 1}', encoding="utf-8")
    gone: list[int] = []

    def edit(text: str) -> str:
        if not gone:
            gone.append(1)
            path.unlink()
        return adding("ours")(text)

    rewrite(str(path), edit, lambda data: None, private=True)
    assert json.loads(path.read_text(encoding="utf-8")) == {"ours": 1}


def test_what_can_no_longer_be_changed_is_given_back(way: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text("{}", encoding="utf-8")

    def edit(text: str) -> str:
        if text == "theirs, damaged":
            raise Unreadable("no")
        path.write_text("theirs, damaged", encoding="utf-8")
        return "ours"

    with pytest.raises(Unreadable):
        rewrite(str(path), edit, lambda data: None, private=True)
    assert path.read_text(encoding="utf-8") == "theirs, damaged"


def test_a_writer_that_never_stops_is_told_and_has_the_last_word(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(writing, "QUICK_SECONDS", 0)
    path = tmp_path / "f.json"
    path.write_text("0", encoding="utf-8")
    count = 0

    def edit(text: str) -> str:
        nonlocal count
        count += 1
        path.write_text(str(count), encoding="utf-8")
        return f"ours {text}"

    with pytest.raises(SettingsError, match="writes to it all the time"):
        rewrite(str(path), edit, lambda data: None, private=True)
    assert path.read_text(encoding="utf-8") == str(count)


HOST = """
import json, os, select, sys
# A host that changes its settings now and then: it reads them, adds something, and writes them as a whole.
path, in_place = sys.argv[1], sys.argv[2] == "in-place"
print("up", flush=True)
for number in range(150):
    select.select([], [], [], 0.003)
    try:
        table = json.loads(open(path).read())
    except (ValueError, FileNotFoundError):
        continue
    table[f"edit{number}"] = number
    text = json.dumps(table, indent=2)
    if in_place:
        with open(path, "w") as sink:
            sink.write(text)
    else:
        with open(path + ".x", "w") as sink:
            sink.write(text)
        os.replace(path + ".x", path)
    print(number, flush=True)
"""


@pytest.mark.parametrize("way_of_host", ["in-place", "rename"])
def test_a_host_that_writes_all_the_time_loses_no_edit(way_of_host: str, home: Home) -> None:
    path = home.write("cursor", "{}")
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(path), way_of_host], stdout=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "up\n"
        statuses: list[int] = []
        while host.poll() is None:
            statuses.append(home.install("cursor", "filesystem", "--root", str(home.root)).status)
            statuses.append(home.uninstall("cursor").status)
        edits = [int(line) for line in host.stdout.read().split()]
    assert edits
    table = json.loads(path.read_text(encoding="utf-8"))
    lost = [number for number in edits if f"edit{number}" not in table]
    assert lost == []
    assert 2 not in statuses


def test_installs_at_the_same_time_all_arrive(home: Home) -> None:
    path = home.write("claude-desktop", '{"theirs": 1}')
    command = [
        sys.executable,
        "-m",
        "gatelodge_core.cli",
        "install",
        "claude-desktop",
        "--no-check",
        "--home",
        str(home.path),
    ]
    names = [("github", f"g{number}") for number in range(3)] + [("websearch", f"w{number}") for number in range(3)]
    running = [
        subprocess.Popen([*command, server, "--name", name], stdout=subprocess.DEVNULL) for server, name in names
    ]
    assert [process.wait(60) for process in running] == [0] * len(names)
    table = json.loads(path.read_text(encoding="utf-8"))
    assert set(table["mcpServers"]) == {name for _, name in names}
    assert table["theirs"] == 1
    # One record of all of them: taking all out leaves nothing behind.
    assert home.uninstall("claude-desktop").status == 0
    assert path.read_text(encoding="utf-8") == '{"theirs": 1}'


def test_a_damaged_record_takes_out_too_little_rather_than_too_much(home: Home) -> None:
    home.write("cursor", '{"mcpServers": {}}')
    home.install("cursor")
    (home.path / ".local/state/gatelodge/hosts.json").write_text('{"files": {"' + str(home.file("cursor")) + '": 7}}', encoding="utf-8")  # fmt: skip
    assert home.uninstall("cursor").status == 0
    assert json.loads(home.file("cursor").read_text(encoding="utf-8")) == {"mcpServers": {}}


def test_a_state_folder_that_cant_be_used_is_told_before_anything_changes(home: Home, tmp_path: Path) -> None:
    path = home.write("cursor", "{}")
    (tmp_path / "file").write_text("", encoding="utf-8")
    ran = home.install("cursor", "filesystem", "--root", str(home.root), "--state-dir", str(tmp_path / "file/x"))
    assert (ran.status, path.read_text(encoding="utf-8")) == (2, "{}")
    assert "--state-dir" in ran.err


def test_a_backup_is_the_old_file_byte_for_byte(home: Home) -> None:
    data = b'\xef\xbb\xbf{"theirs": 1}\r\n'
    home.write("cursor", data)
    home.install("cursor")
    (backup,) = home.backups()
    assert backup.read_bytes() == data
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700
    shutil.copyfile(backup, home.file("cursor"))
    assert home.uninstall("cursor").status == 1


def test_every_host_has_its_format() -> None:
    assert {host.format for host in HOSTS.values()} == {"json", "jsonc", "toml", "yaml"}
