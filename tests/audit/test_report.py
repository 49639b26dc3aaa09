"""The report as a file: what is in it, what it leaves alone, and what hostile records can't do to it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tracemalloc
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.audit.cli import DEFECT, OK, USAGE, run
from gatelodge_core.audit.journal import Journal
from gatelodge_core.audit.progress import Progress
from gatelodge_core.audit.query import Called, Entry, calls, entries
from gatelodge_core.audit.records import Intent, Outcome, Record, timestamp
from gatelodge_core.audit.report import writing
from gatelodge_core.audit.report.flows import WINDOW, find
from gatelodge_core.audit.report.rows import NO_TIME, Latest, Row, row_of
from gatelodge_core.audit.report.summary import summarise
from gatelodge_core.audit.verify import verify
from gatelodge_core.effects import EXTERNAL, PRIVATE, WRITE

from tests.support.journals import START, UNSYNCED, Clock, made_up_week, spoiled, told
from tests.support.wire import MODERN, connected, python_module

ARRAYS = {"u8": "B", "u16": "H", "u32": "I", "f64": "d"}


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_week(tmp_path_factory.mktemp("week") / "j", 600)


def report(journal: Path, out: Path, *more: str) -> int:
    return run(["report", "--directory", str(journal), "--out", str(out), *more])


def data_of(page: Path) -> dict[str, Any]:
    """The data, unpacked by other means than the page's own."""
    found = re.search(r'<script type="application/json" id="data">([^<]*)</script>', page.read_text("utf-8"))
    assert found is not None
    raw = json.loads(found[1])
    for column in raw["columns"].values():
        column["values"] = array(ARRAYS[column["type"]], zlib.decompress(base64.b64decode(column["data"]))).tolist()
    return raw


def texts(data: dict[str, Any], name: str) -> list[str]:
    column = data["columns"][name]
    return [column["texts"][number] for number in column["values"]]


def test_every_call_is_in_it_as_the_journal_has_it(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.html"
    assert report(week, out) == OK
    said = capsys.readouterr().out
    assert said.startswith(f"{out}: 600 calls, 0.1 MB; the journal is verified, ")
    data = data_of(out)
    found = sorted(calls(entries(str(week))), key=lambda call: (call.entry.text("ts"), call.entry.file))
    assert data["count"] == len(found) == 600
    assert texts(data, "name") == [call.entry.text("name") for call in found]
    assert texts(data, "server") == [call.entry.server for call in found]
    assert data["columns"]["seq"]["values"] == [call.entry.fields["seq"] for call in found]
    assert texts(data, "file") == [call.entry.file for call in found]
    times: list[str] = []
    last = 0
    for step in data["columns"]["time"]["values"]:
        last += step
        times.append(timestamp(int(last) * 1_000_000)[:23])
    assert times == [call.entry.text("ts")[:23] for call in found]
    micros = [round(float(call.outcome.text("ms")) * 1000) if call.outcome else NO_TIME for call in found]
    assert data["columns"]["micros"]["values"] == micros
    assert set(texts(data, "status")) >= {"ok", "error", "refused"}


FILTERS: list[tuple[list[str], Callable[[Called], bool]]] = [
    (["--server", "github"], lambda call: call.entry.server == "github"),
    (["--tool", "read_*"], lambda call: call.entry.text("name").startswith("read_")),
    (["--principal", "ann@"], lambda call: "ann@" in str(call.entry.table("principal")["subject"])),
    (["--decision", "deny"], lambda call: call.entry.text("decision") == "deny"),
    (["--since", "2026-11-18T00:00Z"], lambda call: call.entry.text("ts") >= "2026-11-18"),
    (["--until", "2026-11-18T00:00Z"], lambda call: call.entry.text("ts") < "2026-11-18"),
    (
        ["--since", "2026-11-18T00:00Z", "--until", "2026-11-19T00:00+00:00"],
        lambda call: "2026-11-18" <= call.entry.text("ts") < "2026-11-19",
    ),
]


@pytest.mark.parametrize(("arguments", "wants"), FILTERS)
def test_filters_take_what_they_say_and_the_page_tells_of_them(
    week: Path, tmp_path: Path, arguments: list[str], wants: Callable[[Called], bool]
) -> None:
    out = tmp_path / "r.html"
    assert report(week, out, *arguments) == OK
    assert data_of(out)["count"] == sum(1 for call in calls(entries(str(week))) if wants(call)) > 0
    scope = out.read_text("utf-8").split('<ul class="scope">')[1].split("</ul>")[0]
    for value in arguments[1::2]:
        assert value in scope


def test_of_more_calls_than_are_wanted_the_latest_are_in_it_and_the_page_says_so(week: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert report(week, out, "--calls", "50") == OK
    data = data_of(out)
    found = sorted(calls(entries(str(week))), key=lambda call: (call.entry.text("ts"), call.entry.file))[-50:]
    assert texts(data, "name") == [call.entry.text("name") for call in found]
    assert "<strong>the latest 50 of 600 calls</strong>" in out.read_text("utf-8")


def test_what_is_kept_is_bounded_whatever_the_journal_has() -> None:
    latest = Latest(200)
    tracemalloc.start()
    for number in range(20_000):
        fields: Record = {
            "ts": timestamp((START + number) * 10**9),
            "type": "refusal",
            "name": f"x://{number}/" + "y" * 200,
        }
        row = row_of(Called(Entry(f"github-1-{number:032x}.jsonl", fields), None))
        assert row is not None
        latest.add(row)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert latest.total == 20_000
    assert [row.time for row in latest.rows()] == [(START + number) * 1000 for number in range(19_800, 20_000)]
    # All of them would be above ten megabytes.
    assert peak < 5_000_000


def test_the_percentiles_are_those_of_the_durations(week: Path) -> None:
    rows = [row for call in calls(entries(str(week))) if (row := row_of(call)) is not None]
    rows.sort()
    summary = summarise(rows, find(rows))
    micros = sorted(row.micros for row in rows if row.micros != NO_TIME)
    assert summary.whole.percentile(50) == statistics.median_low(micros)
    for part in (50, 95, 99):
        found = summary.whole.percentile(part)
        assert found is not None
        assert sum(item <= found for item in micros) >= len(micros) * part / 100 > sum(item < found for item in micros)


def row(minute: float, name: str, **more: Any) -> Row:
    fields: Record = {
        "ts": timestamp(int((START + minute * 60) * 10**9)),
        "type": "intent",
        "kind": "tool",
        "name": name,
    }
    fields |= {"effect": "read", "principal": {"subject": more.pop("who", "ann")}, "decision": "allow", **more}
    labels = fields.pop("label", {})
    made = row_of(
        Called(
            Entry("filesystem-1-" + "0" * 32 + ".jsonl", fields),
            None if more.get("reason") else Entry("", {"status": "ok", "labels": labels}),
        )
    )
    assert made is not None
    return made if not more.get("reason") else made._replace(status="refused")


SECRET = {"label": PRIVATE.as_ifc()}
SENT = {"effect": "write", "reach": "external"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(0, "read", **SECRET), row(1, "send", **SENT)], [("read", "send", 1, 0, 0)]),
        # Before the read, of another caller, too late, or nothing that matters: no flow.
        ([row(0, "send", **SENT), row(1, "read", **SECRET)], []),
        ([row(0, "read", **SECRET), row(1, "send", who="ben", **SENT)], []),
        ([row(0, "read", **SECRET), row(WINDOW / 60_000 + 1, "send", **SENT)], []),
        ([row(0, "read", **SECRET), row(1, "look")], []),
        ([row(0, "read"), row(1, "send", **SENT)], []),
        ([row(0, "read", **SECRET), row(1, "send", **{**SENT, "decision": "confirm"})], [("read", "send", 0, 1, 0)]),
        ([row(0, "read", **SECRET), row(1, "send", reason="denied", **SENT)], [("read", "send", 0, 0, 1)]),
        # What was refused told nobody anything.
        ([row(0, "read", reason="denied", **SECRET), row(1, "send", **SENT)], []),
        (
            [row(0, "read", **SECRET), row(1, "note", effect="write"), row(2, "send", **SENT)],
            [("read", "note", 1, 0, 0), ("read", "send", 1, 0, 0)],
        ),
    ],
)  # fmt: skip
def test_a_flow_is_a_labelled_read_and_a_later_call_of_the_same_caller_that_changes_or_sends(
    rows: list[Row], expected: list[tuple[object, ...]]
) -> None:
    found = summarise(rows, find(rows)).flows
    assert [(flow.source.name, flow.sink.name, flow.passed, flow.asked, flow.stopped) for flow in found] == expected


def test_a_journal_that_was_changed_is_reported_with_file_and_record_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, out = made_up_week(tmp_path / "j", 300), tmp_path / "r.html"
    file = spoiled(journal, lambda lines: lines.replace(b'"name":"delete_path"', b'"name":"read_file"', 1))
    number = next(at for at, line in enumerate(file.read_bytes().splitlines()) if b'"effect":"destroy"' in line)
    assert report(journal, out) == DEFECT
    said = capsys.readouterr().out
    assert "THE JOURNAL IS BROKEN, 1 defects" in said
    assert f"DEFECT {file.name}: line {number + 1}, sequence {number}: changed" in said
    page = out.read_text("utf-8")
    top = page.split("<main>")[0]
    assert "Journal broken: 1 defect" in top
    assert f"<bdi>{file.name}</bdi>" in top
    assert f'<td class="number">{number}</td>' in top
    data = data_of(out)
    doubt = [
        (name, seq)
        for name, seq, proven in zip(
            texts(data, "file"), data["columns"]["seq"]["values"], data["columns"]["proven"]["values"], strict=True
        )
        if not proven
    ]
    assert doubt
    assert {name for name, _ in doubt} == {file.name}
    assert all(seq >= number - 2 for _, seq in doubt)
    assert f"{len(doubt)} of the calls below are in doubt" in top


def test_a_file_that_is_gone_is_missed(tmp_path: Path) -> None:
    journal, out = made_up_week(tmp_path / "j", 100), tmp_path / "r.html"
    next(journal.glob("github-*.jsonl")).unlink()
    assert report(journal, out) == DEFECT
    assert "missing" in out.read_text("utf-8").split("<main>")[0]


def test_an_empty_journal_and_one_without_matches_make_a_page_too(week: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for journal, more in ((tmp_path / "empty", []), (week, ["--tool", "no_such_tool"])):
        assert report(journal, tmp_path / "r.html", *more) == OK
        assert data_of(tmp_path / "r.html")["count"] == 0


def test_records_written_after_the_verification_are_left_to_the_next_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.html"
    with Journal.open(str(tmp_path / "j"), server="github", version="1", settings=UNSYNCED) as journal:
        journal.outcome(journal.intent(Intent("seen")), Outcome())
        real = verify

        def verify_then_write(*given: Any, **more: Any) -> Any:
            found = real(*given, **more)
            journal.outcome(journal.intent(Intent("unseen")), Outcome())
            return found

        monkeypatch.setattr(writing, "verify", verify_then_write)
        assert report(tmp_path / "j", out) == OK
    assert texts(data_of(out), "name") == ["seen"]


HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "{{data}}{{script}}",
    "<!--<script>",
    "]]>&lt;b&gt;",
    "\u202egnp.exe\u2066\u200b\ufeff",
    "\x00\x1b[2J\x07\r\n",
    "\ud800lone",
    "a" * 5000,
    "__proto__",
    "constructor",
)


def hostile_journal(folder: Path) -> Path:
    """Records whose every text is hostile, written by the journal itself."""
    clock = Clock()
    with told(clock), Journal.open(str(folder), server="github", version="1", settings=UNSYNCED) as journal:
        for text in HOSTILE:
            clock.now += 60
            read = Intent(text, principal={"method": "oauth", "subject": text}, rule=text, claims={"name": text})
            journal.outcome(journal.intent(read), Outcome(labels=PRIVATE.as_ifc()))
            clock.now += 60
            sent = Intent(
                text, effect=WRITE, reach=EXTERNAL, principal={"method": "oauth", "subject": text}, decision="confirm"
            )
            journal.outcome(journal.intent(sent), Outcome("error", error=text))
    return folder


def test_no_text_of_a_record_becomes_markup(tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert report(hostile_journal(tmp_path / "j"), out) == OK
    page = out.read_text("utf-8")
    assert page.count("<script") == page.count("</script") == 2
    assert "<img" not in page
    assert "<!--" not in page.removeprefix("<!doctype html>\n<!-- gatelodge audit report -->")
    for char in "\u202e\u2066\u200b\ufeff\x00\x1b\x07\r":
        assert char not in page
    names = texts(data_of(out), "name")
    assert "</script><script>window.pwned=1</script>" in names
    assert "\\u202egnp.exe\\u2066\\u200b\\ufeff" in names
    assert max(map(len, names)) <= 300


@pytest.mark.parametrize(
    "forged",
    [
        {"ts": "never"}, {"ts": 7}, {"ts": "9999-99-99T99:99:99.999999999Z"}, {"ts": "0001-01-01T00:00:00.000000000Z"},
        {"ts": "2026-11-16T00:00:00.٣٣٣000000Z"}, {"seq": "x"}, {"seq": -5}, {"seq": 10**30}, {"name": None},
        {"name": {"a": ["b"]}}, {"principal": "x"}, {"principal": {"a": {"b": []}}}, {"kind": 5}, {"effect": []},
        {"args": 5, "args_bytes": "x"}, {"args": "sha256:zzzzzzzzzzzz"}, {"args_bytes": True}, {"labels": []},
        {"claims": {"name": ["<b>"]}}, {"confirm": {"answer": {}}}, {"decision": "<b>"}, {"reason": 1e400},
        {"name": "n" * 60_000}, {"type": "outcome", "intent": 3, "ms": -1, "status": "<b>", "labels": {"integrity": []}},
        {"type": "outcome", "intent": 3, "ms": 1e308, "status": None}, {"type": "outcome", "intent": [], "ms": True},
    ],
)  # fmt: skip
def test_a_forged_record_makes_no_report_fail(tmp_path: Path, forged: dict[str, object]) -> None:
    journal, out = made_up_week(tmp_path / "j", 40), tmp_path / "r.html"
    line = {"seq": 3, "type": "refusal", "ts": "2026-11-16T00:00:00.000000000Z", "kind": "tool", "name": "x", **forged}
    spoiled(journal, lambda lines: lines + (json.dumps(line) + "\n").encode())
    assert report(journal, out) == DEFECT
    assert data_of(out)["count"] in (40, 41)
    assert "Journal broken" in out.read_text("utf-8")


def test_the_policy_allows_the_style_and_the_script_that_are_there_and_nothing_else(week: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    report(week, out)
    page = out.read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].replace("&#x27;", "'").split(";"))
    style = page.split("<style>")[1].split("</style>")[0]
    script = page.split('<script type="module">')[1].split("</script>")[0]
    for name, content in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["trusted-types"] == "'none'"
    # The one address in it is a name: that of SVG elements.
    assert set(re.findall(r"https?://[^\s'\"<>)]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|importScripts|eval)\b\s*\(", script)
    assert "innerHTML" not in script
    assert not re.search(r"@import|url\(", style)


def test_the_file_is_the_owners_alone_and_is_replaced_whole(week: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert report(week, out) == OK
    assert out.stat().st_mode & 0o777 == 0o600
    first = out.stat().st_ino
    assert report(week, out, "--server", "github") == OK
    assert out.stat().st_ino != first
    assert os.listdir(tmp_path) == ["r.html"]


def test_only_a_report_is_written_over(week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "thesis.html"
    out.write_text("<!doctype html>\nten years of work", encoding="utf-8")
    assert report(week, out) == USAGE
    assert "it isn't a report. Choose another name with --out" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8").endswith("ten years of work")
    link = tmp_path / "link.html"
    link.symlink_to(out)
    assert report(week, link) == USAGE


def test_a_place_that_cant_be_written_is_told_by_its_name(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no" / "report.html"
    for out, words in (
        (missing, f"there is no folder {missing.parent}. Make it, or choose another place with --out"),
        (tmp_path, "this is a folder. Name a file in it with --out"),
        (Path("/proc/report.html"), "No such file or directory. Choose another place with --out"),
    ):
        assert report(week, out) == USAGE
        assert capsys.readouterr().err == f"{out}: {words}\n"


def test_the_page_goes_to_standard_output_and_words_to_standard_error(week: Path) -> None:
    command = [sys.executable, "-m", "gatelodge_core.cli.__main__", "audit", "report", "--directory", str(week)]
    done = subprocess.run([*command, "--out", "-"], capture_output=True, timeout=60, check=True)
    assert done.stdout.startswith(b"<!doctype html>\n")
    assert done.stdout.endswith(b"</html>\n")
    assert b"-: 600 calls" in done.stderr


def test_no_sdk_and_no_pydantic_is_imported_for_it(week: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from gatelodge_core.cli.__main__ import main; "
        f"assert main(['audit', 'report', '--directory', {str(week)!r}, '--out', {str(tmp_path / 'r.html')!r}]) == 0; "
        "print([name for name in ('mcp', 'pydantic', 'anyio', 'starlette') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "wrong", [["--calls", "0"], ["--calls", "9999999"], ["--calls", "x"], ["--until", "soon"], ["--out"]]
)
def test_a_wrong_command_says_what_is_wrong(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", *wrong]) == USAGE
    assert wrong[0] in capsys.readouterr().err


def test_a_server_records_which_calls_leave_the_machine(tmp_path: Path) -> None:
    command = [*python_module("gatelodge_websearch"), "--state-dir", str(tmp_path)]
    with connected(command, "stdio", MODERN) as wire:
        # Loopback is refused, after the call was recorded.
        wire.request("tools/call", {"name": "read_page", "arguments": {"pages": ["http://127.0.0.1:9/"]}})
        wire.request("resources/read", {"uri": "nothing://there"})
    found = [entry for entry in entries(str(tmp_path / "journal")) if entry.text("type") in ("intent", "refusal")]
    assert (found[0].text("name"), found[0].text("reach")) == ("read_page", "external")
    assert all("reach" not in entry.fields for entry in found[1:])
    out = tmp_path / "r.html"
    assert report(tmp_path / "journal", out) == OK
    assert texts(data_of(out), "sink")[0] == "external"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_silent_for_a_second_then_speaks_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    now = [0.0]
    for out, expected in (
        (io.StringIO(), "verified 3 MB ...\nread 70,000 calls ...\n"),
        (Screen(), "\r\x1b[Kverified 3 MB ...\r\x1b[Kread 60,000 calls ...\r\x1b[Kread 70,000 calls ...\r\x1b[K"),
    ):
        now[0] = 0.0
        progress = Progress(out, lambda: now[0])
        for moment, what, done in ((0.9, "verified", 2_000_000), (1.1, "verified", 3_000_000), (1.15, "read", 50_000),
                                   (1.5, "read", 60_000), (3.2, "read", 70_000)):  # fmt: skip
            now[0] = moment
            progress.tick(what, done)
        progress.end()
        assert out.getvalue() == expected
