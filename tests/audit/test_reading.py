"""Reading the journal: filters, pairs, following, exports, and the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from gatelodge_core.audit.cli import DEFECT, OK, USAGE, run
from gatelodge_core.audit.export import Format, export, nanoseconds
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.query import Called, Filter, calls, entries, latest, tail
from gatelodge_core.audit.records import Intent, Outcome, Refusal, timestamp
from gatelodge_core.effects import DESTROY, WRITE

from tests.audit.support import QUIET, closed_journal, intent, write_calls

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Reads, a change that failed, a refusal, and a call without an outcome."""
    place = tmp_path / "j"
    with Journal.open(str(place), server="filesystem", version="1", settings=QUIET) as journal:
        write_calls(journal, 3)
        ticket = journal.intent(
            Intent("edit_file", effect=WRITE, principal={"method": "key", "subject": "ann"}, decision="confirm",
                   traceparent=TRACE, protocol="2026-07-28", request_id="r1", claims={"name": "host"})
        )  # fmt: skip
        journal.outcome(ticket, Outcome("error", error="stale_etag"))
        journal.refusal(Refusal(intent(9, DESTROY, "delete_file"), "policy"))
        journal.intent(Intent("x://\x1b[31m\n", kind="resource"))
    return place


def found(directory: Path, wanted: Filter | None = None) -> list[Called]:
    return list(calls(entries(str(directory)), wanted))


def test_calls_are_paired_with_their_outcomes(directory: Path) -> None:
    pairs = [(call.entry.text("name"), call.outcome and call.outcome.text("status")) for call in found(directory)]
    assert pairs == [
        ("read_file", "ok"), ("read_file", "ok"), ("read_file", "ok"), ("edit_file", "error"), ("delete_file", None),
        ("x://\x1b[31m\n", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(tool="edit_file"), 1),
        (Filter(tool="*_file"), 5),
        (Filter(principal="ann"), 1),
        (Filter(principal="key:ann"), 1),
        (Filter(decision="deny"), 1),
        (Filter(decision="allow"), 4),
        (Filter(server="filesystem"), 6),
        (Filter(server="github"), 0),
        (Filter(since="2000-01-01"), 6),
        (Filter(since="2999-01-01"), 0),
    ],
)
def test_a_filter_takes_what_it_says(directory: Path, wanted: Filter, count: int) -> None:
    assert len(found(directory, wanted)) == count


def test_the_latest_calls_come_oldest_first(directory: Path) -> None:
    names = [call.entry.text("name") for call in latest(calls(entries(str(directory))), 3)]
    assert names == ["edit_file", "delete_file", "x://\x1b[31m\n"]


def test_lines_that_are_no_records_are_skipped(directory: Path) -> None:
    (file,) = directory.glob("*.jsonl")
    file.write_bytes(
        b"[]\n\xff\xfe\n" + b"[" * 50_000 + b"\n" + b"x" * 200_000 + b"\n" + file.read_bytes() + b'{"seq":'
    )
    assert len(found(directory)) == 6


def test_tail_gives_the_last_records_then_new_ones_of_old_and_new_servers(tmp_path: Path) -> None:
    place = tmp_path / "j"
    first = Journal.open(str(place), server="filesystem", version="1", settings=QUIET)
    write_calls(first, 10)
    steps = [
        lambda: write_calls(first, 2),
        lambda: closed_journal(place, 1, server="github"),
        first.close,
    ]

    def wait() -> bool:
        if steps:
            steps.pop(0)()
            return True
        return False

    seen = [(entry.server, entry.text("type")) for entry in tail(str(place), last=3, wait=wait)]
    assert seen == [
        ("filesystem", "outcome"), ("filesystem", "intent"), ("filesystem", "outcome"),
        ("filesystem", "intent"), ("filesystem", "outcome"), ("filesystem", "intent"), ("filesystem", "outcome"),
        ("github", "header"), ("github", "intent"), ("github", "outcome"), ("github", "close"),
        ("filesystem", "close"),
    ]  # fmt: skip


def test_tail_waits_for_the_end_of_a_line_that_is_being_written(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j", 1)
    content = file.read_bytes()
    file.write_bytes(content[:-50])
    steps = [lambda: file.write_bytes(content)]
    seen = [
        entry.text("type")
        for entry in tail(str(tmp_path / "j"), last=1, wait=lambda: bool(steps) and bool(steps.pop()()))
    ]
    assert seen == ["outcome", "close"]


def test_times_keep_their_nanoseconds() -> None:
    assert timestamp(1_767_225_600_000_000_001) == "2026-01-01T00:00:00.000000001Z"
    assert nanoseconds("2026-01-01T00:00:00.000000001Z") == 1_767_225_600_000_000_001
    assert nanoseconds("yesterday") == 0


@pytest.mark.parametrize("form", ["jsonl", "ocsf", "otel"])
def test_every_call_has_every_form(directory: Path, form: Format) -> None:
    forms = [export(call, form) for call in found(directory)]
    assert len(forms) == 6
    assert forms == [export(call, form) for call in found(directory)]
    json.dumps(forms)


def test_ocsf_has_what_class_6003_requires(directory: Path) -> None:
    events = [export(call, "ocsf") for call in found(directory)]
    for event in events:
        assert (event["class_uid"], event["category_uid"]) == (6003, 6)
        assert {"activity_id", "type_uid", "severity_id", "time", "metadata", "actor", "api", "src_endpoint"} <= set(
            event
        )
        assert isinstance(event["activity_id"], int)
        assert event["type_uid"] == 600300 + event["activity_id"]
    assert [event["activity_id"] for event in events] == [2, 2, 2, 3, 4, 2]
    assert [event["status_id"] for event in events] == [1, 1, 1, 2, 2, 0]
    assert [event.get("status_detail") for event in events] == [None, None, None, "stale_etag", "policy", None]


def test_otel_has_the_attributes_of_the_conventions(directory: Path) -> None:
    spans = [export(call, "otel") for call in found(directory)]
    read, edit, resource = spans[0], spans[3], spans[5]
    attributes = edit["attributes"]
    assert isinstance(attributes, dict)
    assert attributes.items() >= {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "edit_file",
        "mcp.protocol.version": "2026-07-28",
        "jsonrpc.request.id": "r1",
        "network.transport": "pipe",
        "error.type": "stale_etag",
    }.items()  # fmt: skip
    assert (edit["name"], edit["kind"], edit["status"]) == ("tools/call edit_file", "SERVER", {"code": "ERROR"})
    assert (edit["trace_id"], edit["parent_span_id"]) == ("a" * 32, "b" * 16)
    assert "parent_span_id" not in read
    assert re.fullmatch("[0-9a-f]{32} [0-9a-f]{16}", f"{read['trace_id']} {read['span_id']}")
    assert resource["name"] == "resources/read"


def test_the_command_verifies_and_says_where_the_defect_is(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--directory", str(directory)]) == OK
    assert capsys.readouterr().out == "1 files, 12 good records, 0 defects\n"
    (file,) = directory.glob("*.jsonl")
    assert run(["verify", str(file)]) == OK
    assert run(["verify", str(directory)]) == OK
    capsys.readouterr()
    file.write_bytes(file.read_bytes().replace(b"stale_etag", b"stale_flag"))
    for arguments in (["--directory", str(directory)], [str(file)]):
        assert run(["verify", *arguments]) == DEFECT
        assert f"DEFECT {file.name}: line 9, sequence 8: changed: " in capsys.readouterr().out


def test_the_command_shows_a_table_that_can_not_act_on_the_terminal(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", "--directory", str(directory)]) == OK
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split() == ["TIME", "SERVER", "NAME", "PRINCIPAL", "DECISION", "STATUS", "MS", "ARGUMENTS"]
    assert len(lines) == 7
    assert "\x1b" not in out
    assert "x://\\x1b[31m\\n" in lines[6]
    assert run(["show", "--directory", str(directory), "--tool", "edit_*", "--since", "1h"]) == OK
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run(["tail", "--directory", str(directory), "-n", "4"]) == OK
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4
    assert "\x1b" not in out


@pytest.mark.parametrize("form", ["jsonl", "ocsf", "otel"])
def test_the_command_exports_lines_of_json(directory: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--directory", str(directory), "--format", form, "--decision", "allow"]) == OK
    out = capsys.readouterr().out
    assert out.isascii()
    assert [isinstance(json.loads(line), dict) for line in out.splitlines()] == [True] * 4


def test_the_command_prunes(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = directory.glob("*.jsonl")
    assert run(["prune", "--directory", str(directory), "--max-size", "1K", "--dry-run"]) == OK
    assert capsys.readouterr().out.startswith(f"would remove {file.name}\n")
    assert file.exists()
    assert run(["prune", "--directory", str(directory), "--older-than", "90d"]) == OK
    assert file.exists()
    assert run(["prune", "--directory", str(directory), "--max-size", "1K"]) == OK
    assert not file.exists()
    assert run(["verify", "--directory", str(directory)]) == OK


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["burn"],
        ["verify", "/nowhere/at/all"],
        ["verify", "/nowhere", "/at/all"],
        ["show", "--since", "soon"],
        ["show", "--since", "999999999w"],
        ["show", "--lines", "0"],
        ["show", "--decision", "maybe"],
        ["prune"],
        ["prune", "--older-than", "90"],
        ["prune", "--max-size", "much"],
        ["export", "--format", "xml"],
        ["tail", "--directory", "/nowhere"],
    ],
)
def test_a_wrong_command_ends_with_2_and_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == USAGE
    captured = capsys.readouterr()
    assert captured.err.strip()
    assert "Traceback" not in captured.err
    assert not captured.out


@pytest.mark.parametrize("verb", [[], ["verify"], ["tail"], ["show"], ["export"], ["prune"]])
def test_help_ends_with_0(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb, "--help"]) == OK
    assert "gatelodge audit" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    closed_journal(tmp_path / "j", 3000, JournalSettings(sync=False, reserve=0))
    program = f"import sys; from gatelodge_core.audit.cli import run; sys.exit(run(['export','--directory',{str(tmp_path / 'j')!r}]))"
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert os.read(reader, 100)
    os.close(reader)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")


def test_refusals_that_were_counted_are_shown_as_so_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open(str(tmp_path / "journal"), server="filesystem", version="0") as journal:
        journal.refusal(Refusal(Intent("door", kind="door", decision="deny", count=299), "turned_away (invalid_token)"))
        journal.refusal(Refusal(Intent("door", kind="door", decision="deny"), "turned_away (invalid_token)"))
    many, one = found(tmp_path / "journal")
    assert [export(call, "ocsf")["count"] for call in (many, one)] == [299, 1]
    assert '"gatelodge.count": 299' in json.dumps(export(many, "otel"))
    assert "gatelodge.count" not in json.dumps(export(one, "otel"))
    assert run(["show", "--directory", str(tmp_path / "journal")]) == OK
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("deny")[1].strip() for line in lines] == ["refused x299", "refused"]
    assert run(["tail", "--directory", str(tmp_path / "journal")]) == OK
    assert "count=299" in capsys.readouterr().out


@pytest.mark.parametrize("line", [
    '{"seq":[1],"type":"intent","ts":"2026-01-01T00:00:00.000000000Z"}',
    '{"seq":{},"intent":[2],"type":"outcome","ms":1e400,"ts":"2026-01-01T00:00:00.000000000Z"}',
    '{"seq":true,"type":"intent","name":"x","ts":"2026-01-01T00:00:00.000000000Z"}',
    '{"seq":3,"type":"refusal","count":1e400,"ts":"2026-01-01T00:00:00.000000000Z"}',
    '{"seq":3,"type":"refusal","count":-1e400,"ts":"x"}',
    '{"seq":3,"type":"refusal","count":%s}' % ("9" * 400),
])  # fmt: skip
@pytest.mark.parametrize("command", ["report", "show", "export --format ocsf", "export --format otel", "tail"])
def test_a_line_that_somebody_wrote_stops_no_command(
    directory: Path, line: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = directory.glob("*.jsonl")
    with file.open("a", encoding="utf-8") as journal:
        journal.write(line + "\n")
    more = ["--out", str(tmp_path / "page.html")] if command == "report" else []
    assert run([*command.split(), "--directory", str(directory), *more]) in (OK, DEFECT)
    if command == "report":
        assert "Journal broken" in (tmp_path / "page.html").read_text(encoding="utf-8")
    else:
        assert "delete_file" in capsys.readouterr().out
