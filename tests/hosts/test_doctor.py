"""`gatelodge doctor` finds what is wrong with the servers that hosts have, says what to do, and tells no secret."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.cli.__main__ import main
from gatelodge_core.cli.hosts import HOSTS, Machine, target

from tests.hosts.support import SCRIPTS
from tests.hosts.test_probe import SERVER
from tests.postgres import beds
from tests.postgres.conftest import had

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t-of-nobody-4711"
TOOL = "{'name': 'read_it', 'inputSchema': {'type': 'object'}}"
WELL = f"m = greet()\nwhile m:\n    say(id=m['id'], result={{'tools': [{TOOL}]}}) if m['method'] == 'tools/list' else say(id=m['id'], error={{'code': -32601, 'message': 'no'}})\n    m = hear()\n"
"""A server of somebody else's with one tool, which speaks up to 2025-11-25."""


class Desk:
    """A home folder with hosts, and what the doctor says of it."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys
        self._made = 0

    def script(self, text: str) -> list[str]:
        """A server; its command."""
        self._made += 1
        path = self.home / f"server{self._made}.py"
        path.write_text(SERVER + text, encoding="utf-8")
        return [sys.executable, str(path)]

    def configure(self, host: str, servers: Mapping[str, Mapping[str, Any]]) -> Path:
        """Write a host's file of servers."""
        path = Path(target(HOSTS[host], Machine.current(str(self.home))).path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({HOSTS[host].top: servers}), encoding="utf-8")
        return path

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The status, and the report; no secret is in either output."""
        status = main(
            ["doctor", "--json", "--home", str(self.home), "--state-dir", str(self.home / "state"), *arguments]
        )
        found = self._capsys.readouterr()
        assert SECRET not in found.out + found.err
        return status, json.loads(found.out)

    def findings(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Those about servers, by code; there is one of each."""
        told = [item for item in self.run(*arguments)[1]["findings"] if "host" in item]
        assert len({item["what"] for item in told}) == len(told), told
        return {item["what"]: item for item in told}


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def local(command: Sequence[str], **more: Any) -> dict[str, Any]:
    return {"command": command[0], "args": list(command[1:]), **more}


def test_where_no_host_has_a_server_it_says_how_to_begin(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--home", str(tmp_path), "--state-dir", str(tmp_path / "state")]) == 0
    assert "To begin: gatelodge install HOST filesystem --root FOLDER" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["claude-desktop", "claude-code", "cursor"])
def test_our_server_is_well_as_each_host_starts_it(desk: Desk, host: str, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    command = [str(SCRIPTS / "gatelodge-filesystem"), str(tmp_path / "notes"), "--state-dir", str(tmp_path / "state")]
    path = desk.configure(host, {"files": local(command)})
    status, told = desk.run("--strict")
    about = {item["what"]: item for item in told["findings"] if "host" in item}
    assert set(about) <= {"works", "confinement", "slow"}
    assert (about["works"]["server"], about["works"]["file"], about["works"]["line"]) == ("files", str(path), 1)
    assert status == (1 if "slow" in about else 0)
    (server,) = told["servers"]
    assert {name: one["error"] for name, one in server["revisions"].items()} == dict.fromkeys(
        ("2025-11-25", "2025-06-18", "2026-07-28"), ""
    )


@pytest.mark.parametrize(
    ("text", "code", "level", "words"),
    [
        ("sys.exit(3)", "does_not_work", "fail", "ended with exit status 3"),
        ("print('hello')\n" + WELL, "noise", "fail", "1 lines that are no messages"),
        ("hear()\nimport time; time.sleep(60)", "does_not_work", "fail", "didn't answer initialize within 2 s"),
        (WELL.replace("read_it", "r" * 58), "long_names", "warn", "60 characters"),
        (WELL.replace("{'type': 'object'}", "{'$ref': '#/x'}"), "schema", "warn", "some hosts reject"),
        ("import atexit, time; atexit.register(time.sleep, 60)\n" + WELL, "lingers", "warn", "had to be killed"),
        (
            WELL.replace("greet()", "greet() if os.environ.get('IT') else sys.exit(4)").replace("m =", "import os; m =", 1),
            "does_not_work", "fail", "exit status 4",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_server_is_found_when_it_runs(
    desk: Desk, text: str, code: str, level: str, words: str
) -> None:
    desk.configure("cursor", {"one": local(desk.script(text), env={"PASSWORD": SECRET})})
    found = desk.findings("--seconds", "2")
    assert found[code]["level"] == level
    assert words in found[code]["text"]
    assert found[code]["fix"]
    assert desk.run("--seconds", "2")[0] == (1 if level == "fail" else 0)


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ({"command": "uvx", "args": ["gatelodge-filesystem"]}, "program_not_found", "uvx isn't on the PATH"),
        ({"command": "sh", "args": ["-c", "exit"]}, "bare_program", "sh has no folder"),
        ({"command": "./server", "args": []}, "relative_program", "./server is relative"),
        ({"command": "/nowhere/server", "args": []}, "missing_program", "/nowhere/server isn't there"),
        ({"command": "/bin/sh", "args": ["${HOMES}/x"]}, "placeholder", "an argument: ${HOMES} isn't"),
        ({"command": "/bin/sh", "env": {"TOKEN": "${TOKENS}"}}, "placeholder", "TOKEN: ${TOKENS} isn't"),
        ({"command": "/bin/sh", "args": [f"postgresql://me:{SECRET}@db/x"]}, "secret_in_arguments", "looks like a secret"),
        ({"command": "/bin/gatelodge-filesystem", "args": ["/nowhere/notes:ro"]}, "missing_root", "/nowhere/notes is no folder"),
        ({"command": "/bin/gatelodge-filesystem", "args": ["my/notes"]}, "relative_root", "my/notes is relative"),
        ({"command": "/bin/gatelodge-filesystem", "args": ["--read-only", "notes:ro"]}, "relative_root", "a folder is relative"),
        ({"url": "http://tools.example.com/mcp"}, "remote_without_tls", "without TLS"),
        ({"url": f"https://me:{SECRET}@tools.example.com/mcp"}, "secret_in_url", "holds a credential"),
        ({"args": []}, "no_command", "neither a command nor a URL"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_entry_is_found_without_starting_it(
    desk: Desk, entry: dict[str, Any], code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    desk.configure("cursor", {"one": entry})
    status, told = desk.run("--no-start")
    found = {item["what"]: item for item in told["findings"]}
    assert words in found[code]["text"]
    assert found[code]["fix"]
    assert (found[code]["host"], found[code]["server"]) == ("cursor", "one")
    assert status == (1 if any(item["level"] == "fail" for item in told["findings"]) else 0)
    assert told["servers"] == []


@pytest.mark.parametrize(
    "args",
    [
        ["-i", "https://user:{}@pypi.example/simple", "gatelodge-filesystem", "/tmp"],
        ["run", "-e", "TOKEN=abc/{}/x", "ghcr.io/x/gatelodge-filesystem", "/data"],
        ["run", "-e", "TOKEN=${GIVEN}", "ghcr.io/x/gatelodge-filesystem", "/data"],
        ["gatelodge-filesystem", "https://user:{}@files.example/x"],
        ["gatelodge-filesystem", "${GIVEN}"],
        ["gatelodge-filesystem", "a/${GIVEN}/b"],
        ["gatelodge-filesystem", "-t", "{}"],
        ["gatelodge-filesystem", "{}"],
    ],
)
def test_no_argument_that_could_be_a_secret_is_shown(
    desk: Desk, args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", f"hidden/{SECRET}")
    desk.configure(
        "claude-code",
        {"files": {"type": "stdio", "command": "uvx", "args": [arg.replace("{}", SECRET) for arg in args]}},
    )
    _, told = desk.run("--no-start")
    assert SECRET not in json.dumps(told)


def test_each_host_gives_its_own_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY_IN_THE_SHELL", "yes")
    command = desk.script(f"import os\nif 'ONLY_IN_THE_SHELL' in os.environ: sys.exit(5)\n{WELL}")
    # Claude Code passes on all that it has, Claude Desktop a few variables.
    desk.configure("claude-desktop", {"one": local(command)})
    desk.configure("claude-code", {"one": local(command)})
    assert desk.findings("--host", "claude-desktop")["works"]["level"] == "ok"
    assert "exit status 5" in desk.findings("--host", "claude-code")["does_not_work"]["text"]


@pytest.mark.parametrize("host", ["vscode", "goose"])
def test_what_the_host_asks_a_person_for_is_no_fault_of_the_entry(
    desk: Desk, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = desk.script(f"import os\nif os.environ.get('ASKED_FOR') != {SECRET!r}: sys.exit(5)\n{WELL}")
    entry = (
        local(command, env={"ASKED_FOR": "${input:it}"})
        if host == "vscode"
        else {"type": "stdio", "cmd": command[0], "args": command[1:], "env_keys": ["ASKED_FOR"], "enabled": True}
    )
    desk.configure(host, {"one": entry})
    monkeypatch.delenv("ASKED_FOR", raising=False)
    found = desk.findings("--strict")
    assert list(found) == ["asked_for"]
    assert found["asked_for"]["text"].endswith("asks for ASKED_FOR when it starts it")
    monkeypatch.setenv("ASKED_FOR", SECRET)
    assert list(desk.findings()) == ["works"]


def test_a_server_that_no_host_has_is_told_with_those_there_are(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.configure("cursor", {"one": local(desk.script(WELL))})
    home = ["--home", str(desk.home), "--state-dir", str(desk.home / "state")]
    assert main(["doctor", *home, "--server", "other"]) == 2
    assert capsys.readouterr().err == "gatelodge doctor: no host has a server called other; there are: one\n"
    assert main(["doctor", *home, "--host", "zed"]) == 0
    assert "To begin: gatelodge install zed filesystem --root FOLDER" in capsys.readouterr().out
    # Where a file can't be read, it could be there; it is no reason to say that there is none at all.
    desk.configure("zed", {}).write_text("{", encoding="utf-8")
    assert main(["doctor", *home, "--server", "other"]) == 1
    out = capsys.readouterr().out
    assert "No host that can be read has a server called other; there are: one" in out
    assert "To begin" not in out


def test_a_file_that_cant_be_read_is_told_and_the_others_are_looked_at(desk: Desk) -> None:
    desk.configure("cursor", {"one": local(desk.script(WELL))})
    broken = desk.configure("claude-desktop", {})
    broken.write_text('{"mcpServers": {"a": ', encoding="utf-8")
    status, told = desk.run()
    codes = {(item["what"], item.get("host")) for item in told["findings"]}
    assert status == 1
    assert {("unreadable", "claude-desktop"), ("works", "cursor")} <= codes


def test_what_ours_says_of_its_arguments_is_told_and_none_of_their_values(desk: Desk, tmp_path: Path) -> None:
    command = [str(SCRIPTS / "gatelodge-filesystem"), str(tmp_path), "--tokn", f"--key={SECRET}"]
    desk.configure("cursor", {"one": local(command)})
    text = desk.findings("--seconds", "30")["does_not_work"]["text"]
    assert "it says: gatelodge-filesystem: unrecognized arguments: --tokn --key=…" in text


def test_every_start_lasts_until_the_server_itself_is_there(desk: Desk, tmp_path: Path) -> None:
    """One that is ended while it loads goes on with that, and would be said to linger on a busy machine."""
    notes = tmp_path / "notes"
    notes.mkdir()
    desk.configure("cursor", {"one": local([str(SCRIPTS / "gatelodge-filesystem"), str(notes)])})
    (one,) = desk.run()[1]["servers"]
    assert [made["ready_seconds"] > 0 for made in one["revisions"].values()] == [True] * 3


def test_a_server_that_is_switched_off_is_not_started(desk: Desk, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    script = desk.script(f"open({str(mark)!r}, 'w')")
    path = Path(target(HOSTS["opencode"], Machine.current(str(tmp_path))).path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"mcp": {"one": {"type": "local", "command": script, "enabled": False}}}))
    desk.run()
    assert not mark.exists()


def test_a_projects_servers_are_started_only_where_that_is_asked_for(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "started"
    project = tmp_path / "project"
    project.mkdir()
    script = desk.script(f"open({str(mark)!r}, 'w')")
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"one": local(script)}}))
    monkeypatch.chdir(project)
    assert desk.run()[1]["servers"] == []
    assert not mark.exists()
    assert desk.run("--project")[1]["servers"]
    assert mark.exists()


def test_what_ours_says_when_it_fails_is_told_without_what_it_was_given(desk: Desk, tmp_path: Path) -> None:
    command = [str(SCRIPTS / "gatelodge-github"), "--repo", SECRET]
    desk.configure(
        "claude-code", {"hub": local(command, env={"GATELODGE_GITHUB_TOKEN": SECRET, "GATELODGE_NONE": "x"})}
    )
    found = desk.findings()
    assert "GATELODGE_NONE" in found["does_not_work"]["text"]


def test_online_a_database_role_that_could_write_is_found(desk: Desk, tmp_path: Path, system_role: str) -> None:
    command = [str(SCRIPTS / "gatelodge-postgres"), "--state-dir", str(tmp_path / "state")]
    desk.configure("claude-code", {"db": local(command, env={"GATELODGE_POSTGRES_URL": system_role})})
    found = desk.findings("--online")
    assert found["database_role"]["level"] in ("warn", "fail")
    assert "grant-sql" in found["database_role"]["fix"]
    assert "database_role" not in desk.findings()


@pytest.fixture
def system_role() -> Generator[str]:
    """A database's URL, as a role that owns it."""
    for bed in had(beds.system()):
        with bed.admin() as admin:
            admin.execute(f"CREATE ROLE doctored LOGIN PASSWORD '{SECRET}'".encode())
            admin.execute("CREATE DATABASE doctored OWNER doctored")
        try:
            yield bed.url("doctored", "doctored", SECRET, over="tcp")
        finally:
            with bed.admin() as admin:
                admin.execute("DROP DATABASE doctored WITH (FORCE)")
                admin.execute("DROP ROLE doctored")


def test_the_page_tells_of_every_code_and_of_no_other() -> None:
    cli = ROOT / "shared/src/gatelodge_core/cli"
    text = "\n".join(path.read_text("utf-8") for path in [*(cli / "checks").glob("*.py"), cli / "doctor.py"])
    codes = set(re.findall(r'(?:Finding\(|at\(\s*entry,)\s*"([a-z_]+)"', text))
    page = (ROOT / "docs" / "12-doctor.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == codes
