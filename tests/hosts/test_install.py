"""`gatelodge install` writes what a host needs and nothing else, and `uninstall` leaves no trace."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from gatelodge_core.audit.progress import Progress
from gatelodge_core.cli import servers
from gatelodge_core.cli.hosts import HOSTS, Machine, entries
from gatelodge_core.cli.servers import program
from gatelodge_core.cli.showing import progress
from gatelodge_core.errors import SettingsError
from gatelodge_core.outlet import coloured

from tests.hosts.support import SCRIPTS, Home
from tests.hosts.test_reading import WRITTEN

TOKEN = "GITHUB_PERSONAL_ACCESS_TOKEN"
SECRET = "ghp_" + "x" * 36
REFERENCES = {
    "claude-code": "${" + TOKEN + "}", "cursor": "${env:" + TOKEN + "}", "devin": "${env:" + TOKEN + "}",
    "gemini": "${" + TOKEN + "}", "opencode": "{env:" + TOKEN + "}",
    "vscode": "${input:gatelodge-github-github-personal-access-token}",
}  # fmt: skip


@pytest.mark.parametrize("host", sorted(HOSTS))
@pytest.mark.parametrize("start", ["nothing", "empty", "used"])
def test_it_goes_in_and_out_of_every_host_without_a_trace(host: str, start: str, home: Home) -> None:
    before = {"nothing": None, "empty": "", "used": WRITTEN[host]}[start]
    if before is not None:
        home.write(host, before)
    assert home.install(host).status == 0
    entry = home.entry(host)
    assert (entry.command, entry.args) == (str(SCRIPTS / "gatelodge-filesystem"), (str(home.root),))
    assert home.install(host, "github").status == 0
    assert home.uninstall(host, "filesystem").status == 0
    assert home.entry(host, "gatelodge-github").command == str(SCRIPTS / "gatelodge-github")
    assert home.uninstall(host).status == 0
    assert home.file(host).exists() == (before is not None)
    if before is not None:
        assert home.file(host).read_text(encoding="utf-8") == before
    assert home.uninstall(host).status == 1


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_doing_it_again_changes_nothing_and_other_arguments_change_only_them(host: str, home: Home) -> None:
    home.write(host, WRITTEN[host])
    home.install(host)
    first = home.file(host).read_bytes()
    again = home.install(host)
    assert (again.status, home.file(host).read_bytes()) == (0, first)
    assert "already, exactly so" in again.out
    home.install(host, "filesystem", "--root", f"{home.root}:ro", "--read-only")
    assert home.entry(host).args == (f"{home.root}:ro", "--read-only")
    assert home.entry(host, "fs").args == ("a", "/d")


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_no_secret_is_written_shown_or_kept(host: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    ran = home.install(host, "github", "postgres")
    assert ran.status == 0
    entry = home.entry(host, "gatelodge-github")
    if host in REFERENCES:
        assert dict(entry.env) == {TOKEN: REFERENCES[host]}
    elif host in ("codex", "goose"):
        assert entry.passed == (TOKEN,)
    else:
        assert dict(entry.env) == {}
    if host == "vscode":
        inputs = json.loads(home.file(host).read_text(encoding="utf-8"))["inputs"]
        assert [(item["type"], item["password"]) for item in inputs] == [("promptString", True)] * 2
        assert "${input:" + inputs[0]["id"] + "}" == entry.env[TOKEN]
    files = [path for path in home.path.rglob("*") if path.is_file()]
    assert files
    assert all(SECRET not in path.read_text(encoding="utf-8") for path in files)
    assert SECRET not in ran.out + ran.err
    # Given no secrets any more, the entry names none.
    home.install(host, "github", "--no-secrets")
    entry = home.entry(host, "gatelodge-github")
    assert (dict(entry.env), entry.passed) == ({}, ())


def test_what_others_keep_in_the_file_is_never_shown(home: Home) -> None:
    texts = {
        "cursor": '{"mcpServers": {"o": {"command": "x", "env": {"T": "s3cr3t"}}}}',
        "gemini": '{\n  "apiKey": "s3cr3t" // s3cr3t\n}',
        "codex": 'key = "s3cr3t" # s3cr3t\n[mcp_servers.gatelodge-filesystem]\ncommand = "gatelodge-filesystem"\nargs = ["s3cr3t"]\n',
        "goose": "extensions:\n  gatelodge-filesystem:\n    cmd: gatelodge-filesystem\n    args: [s3cr3t]\n    envs: {}\n    token: s3cr3t\n",
        "claude-desktop": '{"mcpServers": {"gatelodge-filesystem": {"command": "gatelodge-filesystem", "args": ["a"], "env": {"T": "s3cr3t"}}}}',
    }
    for host, text in texts.items():
        home.write(host, text)
        shown = home.install(host).out + home.uninstall(host).out
        assert "gatelodge-filesystem" in shown
        assert "s3cr3t" not in shown, host


def test_what_people_added_to_an_entry_stays(home: Home) -> None:
    home.install("cursor", "github")
    path = home.file("cursor")
    path.write_text(path.read_text(encoding="utf-8").replace('"args"', '"disabled": true, // for now\n      "args"').replace('"env": {', '"env": {"HTTPS_PROXY": "http://p",'), encoding="utf-8")  # fmt: skip
    home.install("cursor", "github", "--read-only")
    entry = home.entry("cursor", "gatelodge-github")
    assert (entry.enabled, entry.args) == (False, ("--read-only",))
    assert dict(entry.env) == {"HTTPS_PROXY": "http://p", TOKEN: REFERENCES["cursor"]}
    assert "// for now" in path.read_text(encoding="utf-8")


def test_in_codex_and_goose_names_that_people_added_stay(home: Home) -> None:
    home.install("codex", "github")
    path = home.file("codex")
    path.write_text(path.read_text(encoding="utf-8").replace('["GIT', '["HTTPS_PROXY", "GIT') + "startup_timeout_sec = 20\n", encoding="utf-8")  # fmt: skip
    home.install("codex", "github", "--read-only")
    assert home.entry("codex", "gatelodge-github").passed == ("HTTPS_PROXY", TOKEN)
    assert "startup_timeout_sec = 20" in path.read_text(encoding="utf-8")
    home.install("codex", "github", "--no-secrets")
    assert home.entry("codex", "gatelodge-github").passed == ("HTTPS_PROXY",)


def test_a_name_that_stands_for_something_else_is_not_taken(home: Home) -> None:
    text = '{"mcpServers": {"gatelodge-filesystem": {"command": "npx", "args": ["-y", "other"]}}}'
    home.write("cursor", text)
    ran = home.install("cursor")
    assert ran.status == 2
    assert "--name NAME" in ran.err
    assert home.install("cursor", "filesystem", "--root", str(home.root), "--name", "notes").status == 0
    assert home.uninstall("cursor").status == 0
    assert home.file("cursor").read_text(encoding="utf-8") == text


def test_what_was_written_by_hand_is_left_and_named(home: Home) -> None:
    text = '{"mcpServers": {"files": {"command": "uvx", "args": ["gatelodge-filesystem", "/d"]}}}'
    home.write("cursor", text)
    ran = home.uninstall("cursor")
    assert ran.status == 1
    assert "gatelodge uninstall cursor filesystem --name files" in ran.out
    assert home.uninstall("cursor", "filesystem", "--name", "files").status == 0
    assert json.loads(home.file("cursor").read_text(encoding="utf-8")) == {"mcpServers": {}}


@pytest.mark.parametrize("arguments", [
    ("filesystem", "--root", "/nowhere"), ("filesystem",), ("github", "--root", "/tmp"), ("filesystem", "github", "--name", "x"),
    ("github", "--name", "a&calc"), ("github", "--name", "A" * 28), ("github", "--name", '"'), ("github", "--name", "a b"),
    ("postgres", "--", "postgresql://u:s3cr3t@h/d"), ("postgres", "--", "password=s3cr3t"), ("github", "--", "--x", "ghp_s3cr3ts3cr3ts3cr3t"),
    ("github", "--", "a\nb"), ("github", "filesystem", "--", "--repo", "a/b"), ("mysql",),
    ("filesystem", "--root", "/tmp", "--root", "/tmp/:ro"),
])  # fmt: skip
def test_what_cant_be_written_is_refused_and_nothing_changes(arguments: tuple[str, ...], home: Home) -> None:
    ran = home.install("cursor", *arguments)
    assert ran.status == 2
    assert ran.err
    assert "s3cr3t" not in ran.err
    assert not home.file("cursor").exists()


@pytest.mark.parametrize(("host", "folder"), [("claude-code", "${HOME}"), ("gemini", "$x"), ("vscode", "${input:x}"), ("cursor", "${env:X}")])  # fmt: skip
def test_a_folder_that_a_host_would_take_for_a_reference_is_refused(host: str, folder: str, home: Home) -> None:
    (home.root / folder).mkdir()
    ran = home.install(host, "filesystem", "--root", str(home.root / folder))
    assert ran.status == 2
    assert "would replace" in ran.err
    # Where nothing is replaced it is a folder like any other.
    assert home.install("claude-desktop", "filesystem", "--root", str(home.root / folder)).status == 0


def test_keys_and_tools_together_stay_below_what_hosts_allow() -> None:
    folder = Path(__file__).resolve().parents[1] / "surface"
    longest = max(len(path.stem) for name in servers.NAMES for path in (folder / name).rglob("*.json"))
    assert longest > 10
    keys = [servers.key_of(name) for name in servers.NAMES] + ["a" * 27]
    assert servers.KEY.fullmatch("a" * 27)
    assert not servers.KEY.fullmatch("a" * 28)
    for key in keys:
        assert len(key) + longest <= 60
        assert len(f"mcp__{key}__") + longest <= 64


def test_a_folder_whose_name_is_no_text_is_refused(home: Home) -> None:
    folder = os.path.join(os.fsencode(str(home.root)), b"caf\xe9")
    os.mkdir(folder)
    ran = home.install("cursor", "filesystem", "--root", os.fsdecode(folder))
    assert (ran.status, home.file("cursor").exists()) == (2, False)
    assert "Unicode" in ran.err


def test_a_server_that_is_left_out_is_named(home: Home) -> None:
    ran = home.install("cursor", "--no-secrets")
    assert ran.status == 0
    assert "--root FOLDER" in ran.out
    assert {entry.key for entry in entries(HOSTS["cursor"], home.machine).entries} == {
        "gatelodge-github", "gatelodge-postgres", "gatelodge-websearch",
    }  # fmt: skip


def test_what_was_taken_out_by_hand_is_no_longer_ours_to_remove(home: Home) -> None:
    home.install("cursor")
    home.file("cursor").write_text('{"mcpServers": {}}', encoding="utf-8")
    home.install("cursor")
    assert home.uninstall("cursor").status == 0
    assert home.file("cursor").read_text(encoding="utf-8") == '{"mcpServers": {}}'


def test_comments_in_a_file_of_plain_json_are_pointed_at(home: Home) -> None:
    home.write("claude-desktop", "{} // mine\n")
    assert "plain JSON is safer" in home.install("claude-desktop").out
    home.write("vscode", "{} // mine\n")
    assert "plain JSON" not in home.install("vscode").out


def test_another_home_is_another_world(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    found = Machine.current(str(home.path))
    assert found.environment["HOME"] == str(home.path)
    assert "XDG_CONFIG_HOME" not in found.environment


def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Terminal())


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_progress_writes_whole_lines_where_no_escapes_are_wanted(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv(variable, value)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("starting it"):
        assert terminal.getvalue() == "starting it ...\n"
    ticks = iter(range(0, 20, 2))
    counting = Progress(terminal, lambda: next(ticks))
    counting.tick("read", 7)
    counting.end()
    assert terminal.getvalue() == "starting it ...\nread 7 calls ...\n"


def test_a_dry_run_shows_all_and_changes_nothing(home: Home) -> None:
    text = '{"a": 1}'
    home.write("cursor", text)
    shown = home.install("cursor", "filesystem", "--root", str(home.root), "--dry-run").out
    assert "+" in shown
    assert str(SCRIPTS / "gatelodge-filesystem") in shown
    assert home.file("cursor").read_text(encoding="utf-8") == text
    home.install("cursor")
    with_it = home.file("cursor").read_text(encoding="utf-8")
    assert home.uninstall("cursor", "--dry-run").status == 0
    assert home.file("cursor").read_text(encoding="utf-8") == with_it


def test_a_project_gets_its_own_file_and_serves_itself(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    assert home.install("claude-code", "--project", "filesystem").status == 0
    written = json.loads((project / ".mcp.json").read_text(encoding="utf-8"))
    assert written["mcpServers"]["gatelodge-filesystem"]["args"] == [str(project)]
    assert not home.file("claude-code").exists()
    assert home.uninstall("claude-code", "--project").status == 0
    assert not (project / ".mcp.json").exists()
    assert "no file for a project" in home.install("claude-desktop", "--project", "filesystem").err
    assert "no file for a project" in home.uninstall("claude-desktop", "--project").err


@pytest.mark.parametrize("order", [("claude-code", "copilot-cli"), ("copilot-cli", "claude-code")])
def test_hosts_that_share_a_projects_file_are_both_content_with_the_entry(
    order: tuple[str, str], home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Claude Code knows no type ``local``; Copilot CLI takes ``stdio`` for the same."""
    monkeypatch.chdir(tmp_path)
    first, second = order
    assert home.install(first, "--project", "filesystem").status == 0
    written = (tmp_path / ".mcp.json").read_text(encoding="utf-8")
    assert json.loads(written)["mcpServers"]["gatelodge-filesystem"]["type"] == "stdio"
    assert home.install(second, "--project", "filesystem").status == 0
    assert (tmp_path / ".mcp.json").read_text(encoding="utf-8") == written


@pytest.mark.parametrize("command", ["install", "link"])
def test_an_option_that_is_the_servers_own_is_told_where_to_stand(command: str, home: Home) -> None:
    ran = home.run(command, "cursor", "filesystem", "--root", str(home.root), "--allow-broad-roots=x", "--dry")
    assert ran.status == 2
    assert ran.err == (
        f"gatelodge {command}: there is no option --allow-broad-roots; if it is meant for the server itself: "
        "-- --allow-broad-roots\n"
    )


def test_new_files_and_backups_are_for_their_owner_alone(home: Home) -> None:
    home.install("cursor")
    home.install("cursor", "github")
    (backup,) = home.backups()
    assert "gatelodge-github" not in backup.read_text(encoding="utf-8")
    for path in (home.file("cursor"), backup, home.path / ".local/state/gatelodge/hosts.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_the_last_backups_are_kept(home: Home) -> None:
    home.install("cursor")
    for number in range(14):
        home.install("cursor", "filesystem", "--root", str(home.root), "--", "--budget", str(3000 + number))
    assert len(home.backups()) == 10
    assert "3012" in home.backups()[-1].read_text(encoding="utf-8")


def test_a_token_file_is_used_where_the_host_cant_pass_a_secret(home: Home) -> None:
    told = home.install("claude-desktop", "github").out
    path = home.path / ".config/gatelodge/github-token"
    assert str(path) in told
    path.parent.mkdir(parents=True)
    path.write_text(SECRET, encoding="utf-8")
    path.chmod(0o600)
    home.install("claude-desktop", "github")
    assert home.entry("claude-desktop", "gatelodge-github").args == ("--token-file", str(path))


def test_each_server_starts_as_the_host_starts_it(home: Home) -> None:
    ran = home.install("claude-desktop", "filesystem", "websearch", "--root", str(home.root), check=True)
    assert ran.status == 0, ran.out
    assert ran.out.count("first answer after") == 2
    assert "19 tools" in ran.out


def test_a_server_that_does_not_start_is_told_with_what_it_says(home: Home) -> None:
    ran = home.install("claude-desktop", "postgres", check=True)
    assert ran.status == 1
    assert "no database is configured" in ran.out
    assert "config.toml" in ran.out


def test_a_secret_that_is_not_set_is_told_and_one_that_vs_code_asks_for_is_not_missed(home: Home) -> None:
    ran = home.install("claude-code", "postgres", check=True)
    assert ran.status == 1
    assert "GATELODGE_POSTGRES_URL isn't set here" in ran.out
    ran = home.install("vscode", "postgres", check=True)
    assert ran.status == 0
    assert "VS Code asks you" in ran.out


def test_under_uvx_an_absolute_uvx_and_this_very_version_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uvx = tmp_path / "uvx"
    uvx.write_text("#!/bin/sh\n", encoding="utf-8")
    uvx.chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "cache/uv/archive-v0/abc"))
    command, args = program("github", {"UV": str(tmp_path / "uv"), "PATH": "/nowhere"})
    assert command == str(uvx)
    assert args[0].startswith("gatelodge-github==")
    with pytest.raises(SettingsError, match="isn't installed"):
        program("github", {"PATH": "/nowhere"})


def test_links_say_what_install_writes(home: Home) -> None:
    link = home.run("link", "cursor", "github").out.strip()
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)
    home.install("cursor", "github")
    assert json.loads(base64.b64decode(query["config"][0])) == dict(home.entry("cursor", "gatelodge-github").raw)
    assert query["name"] == ["gatelodge-github"]
    home.install("vscode", "github")
    table = json.loads(home.file("vscode").read_text(encoding="utf-8"))
    link = home.run("link", "vscode", "github").out.strip()
    assert link.startswith("vscode:mcp/install?")
    server = json.loads(urllib.parse.unquote(link.partition("?")[2]))
    assert server == {"name": "gatelodge-github", **table["servers"]["gatelodge-github"], "inputs": table["inputs"]}
    link = home.run("link", "vscode", "github", "--portable", "--web").out.strip()
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)
    assert json.loads(query["config"][0])["command"] == "uvx"
    assert home.run("link", "cursor", "github", "--web").status == 2


def test_the_commands_never_import_the_sdk() -> None:
    script = (
        "import sys; from gatelodge_core.cli.__main__ import main\n"
        "import gatelodge_core.cli.install, gatelodge_core.cli.uninstall, gatelodge_core.cli.link, gatelodge_core.cli.probe\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'mcp', 'pydantic', 'anyio', 'starlette'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
