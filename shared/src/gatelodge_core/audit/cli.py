"""`gatelodge audit`: verify, tail, show, report, export, prune.

Exit status: 0 all is well; 1 a defect was found; 2 the command or the journal can't be used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from gatelodge_core import outlet
from gatelodge_core.audit import query
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.export import Format, alike_of, export, status_of
from gatelodge_core.audit.progress import Progress
from gatelodge_core.audit.prune import prune
from gatelodge_core.audit.texts import clean
from gatelodge_core.audit.verify import Report, verify
from gatelodge_core.places import journal_folder, state_folder

OK, DEFECT, USAGE = 0, 1, 2
REPORT = "gatelodge-report.html"
_AGE = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)i?B?", re.IGNORECASE)


class _Usage(Exception):
    """The command line is wrong."""


class _Parser(outlet.Parser):
    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{self.prog}: {message}\nSee {self.prog} --help")


def run(argv: Sequence[str]) -> int:
    """Run `gatelodge audit` with the arguments after ``audit``.

    Returns:
        The exit status; see the top of this module.

    Raises:
        KeyboardInterrupt: Ctrl-C: what was stopped has found nothing out.
        OSError: The output can't be written, such as on a full disk.
    """
    try:
        options = _parser().parse_args(list(argv))
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # --help
        return end.code if isinstance(end.code, int) else USAGE
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; keep the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (_Usage, JournalError, OSError) as error:
        # A failed write names no file: it is told as for all commands.
        if isinstance(error, OSError) and not error.filename:
            raise
        for line in str(error).split("\n"):
            sys.stderr.write(clean(line) + "\n")
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gatelodge audit",
        description="Look into the journal of all calls, and prove that nobody changed it.",
        epilog="Exit status: 0 all is well; 1 a defect was found; 2 the command or the journal can't be used.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)

    def verb(name: str, text: str, action: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.add_argument("--directory", default="", metavar="DIR", help="The journal itself, wherever it is.")
        made.add_argument(
            "--state-dir", default="", metavar="DIR", help="The state folder, if the server was given one."
        )
        made.set_defaults(run=action)
        return made

    def filters(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--tool", default="", metavar="NAME", help="Only this tool, resource or prompt; * and ? match."
        )
        made.add_argument("--principal", default="", metavar="TEXT", help="Only callers with this in their identity.")
        made.add_argument(
            "--since", default="", metavar="WHEN", help="An age (90s, 15m, 2h, 7d) or a time in ISO 8601."
        )
        made.add_argument("--until", default="", metavar="WHEN", help="The same, for the end.")
        made.add_argument(
            "--decision",
            default="",
            choices=["", "allow", "confirm", "deny"],
            metavar="WHAT",
            help="Only these: allow, confirm or deny.",
        )
        made.add_argument("--server", default="", metavar="NAME", help="Only this server.")

    made = verb(
        "verify", "Check every record; name file, line, sequence and kind of the first defect of each.", _verify
    )
    made.add_argument("files", nargs="*", metavar="FILE", help="Single files of one directory; default: all of it.")
    made.add_argument("--key", default="", metavar="FILE", help="The key file, if it isn't in the directory.")
    made = verb("tail", "The last records.", _tail)
    made.add_argument("-f", "--follow", action="store_true", help="Go on as records are written.")
    made.add_argument("-n", "--lines", type=_count, default=10, metavar="N", help="How many; default: 10.")
    made = verb("show", "The calls, as a table.", _show)
    filters(made)
    made.add_argument(
        "-n", "--lines", type=_count, default=50, metavar="N", help="At most so many, the last; default: 50."
    )
    made = verb("report", "The calls as one HTML page, which needs no network.", _report)
    filters(made)
    made.add_argument(
        "--out", default=REPORT, metavar="FILE", help=f"Where to; - for standard output; default: {REPORT}."
    )
    made.add_argument(
        "--calls", type=_calls, metavar="N", help="At most so many, the last; default: 100000, at most 500000."
    )
    made.add_argument("--key", default="", metavar="FILE", help="The key file, if it isn't in the directory.")
    made = verb("export", "The calls, one JSON object per line.", _export)
    filters(made)
    made.add_argument("--format", default="jsonl", choices=["jsonl", "ocsf", "otel"], help="Default: jsonl.")
    made = verb("prune", "Remove old files, and leave tombstones that verify.", _prune)
    made.add_argument("--older-than", type=_age, metavar="AGE", help="Files whose last record is older, such as 90d.")
    made.add_argument("--max-size", type=_bytes, metavar="SIZE", help="The oldest files beyond this, such as 500M.")
    made.add_argument("--dry-run", action="store_true", help="Only say what would go.")
    made.add_argument("--key", default="", metavar="FILE", help="The key file, if it isn't in the directory.")
    return parser


def _verify(options: argparse.Namespace) -> int:
    directory, names = _place(options), None
    if options.files:
        folders = {os.path.dirname(os.path.abspath(file)) for file in options.files}
        if len(folders) > 1:
            raise _Usage("gatelodge audit verify: files of one directory at a time")
        directory, names = folders.pop(), [os.path.basename(file) for file in options.files]
        if os.path.isdir(options.files[0]):
            if len(options.files) > 1:
                raise _Usage("gatelodge audit verify: one directory, or files of one")
            directory, names = options.files[0], None
    report = verify(directory, names, key_file=options.key)
    _out(
        *(f"note: {note}" for note in report.notes),
        *(f"DEFECT {defect}" for defect in report.defects),
        f"{sum(len(chain.files) for chain in report.chains)} files, {report.records} good records, "
        f"{len(report.defects)} defects",
    )
    return OK if report.ok else DEFECT


def _tail(options: argparse.Namespace) -> int:
    wait = None if options.follow else lambda: False
    for entry in query.tail(_place(options), last=options.lines, wait=wait):
        _out(_line(entry))
        sys.stdout.flush()
    return OK


def _line(entry: query.Entry) -> str:
    kind = entry.text("type")
    shown = {
        "intent": ("seq", "kind", "name", "decision", "rule"),
        "refusal": ("seq", "kind", "name", "decision", "reason", "count"),
        "outcome": ("intent", "status", "ms", "result_bytes", "error"),
    }.get(kind, ("reason", "next", "records", "to", "refused", "version", "sandbox", "file"))
    facts = " ".join(f"{key}={entry.text(key)}" for key in shown if entry.text(key))
    return f"{entry.text('ts')}  {entry.server:<12}  {kind:<10}  {facts}"


def _show(options: argparse.Namespace) -> int:
    found = query.latest(query.calls(query.entries(_place(options)), _filter(options)), options.lines)
    rows = [("TIME", "SERVER", "NAME", "PRINCIPAL", "DECISION", "STATUS", "MS", "ARGUMENTS")]
    for call in found:
        entry, outcome = call
        rows.append(
            (
                entry.text("ts")[:23] + "Z",
                entry.server,
                entry.text("name"),
                ":".join(map(str, entry.table("principal").values())),
                entry.text("decision"),
                status_of(call) + (f" x{alike}" if (alike := alike_of(call)) > 1 else ""),
                outcome.text("ms") if outcome else "",
                entry.text("args").removeprefix("sha256:")[:12],
            )
        )
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [min(40, max(len(row[column]) for row in cells)) for column in range(len(rows[0]))]
    _out(*("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells))
    return OK


def _report(options: argparse.Namespace) -> int:
    # Only here: the other verbs need none of it.
    from gatelodge_core.audit.report.writing import CALLS, write_report  # noqa: PLC0415 - for this command alone

    names = ("server", "tool", "principal", "decision", "since", "until")
    progress = Progress(sys.stderr)
    done = write_report(
        _place(options),
        options.out,
        wanted=_filter(options),
        limit=options.calls or CALLS,
        filters=[f"{name} {value}" for name in names if (value := getattr(options, name))],
        key_file=options.key,
        tick=progress.tick,
    )
    progress.end()
    left = f" of {done.total:,}, the latest" if done.total > done.calls else ""
    told = [f"{options.out}: {done.calls:,} calls{left}, {done.size / 1e6:.1f} MB; " + _verdict(done.report)]
    told += [f"DEFECT {defect}" for defect in done.report.defects[:20]]
    for line in told:
        # Standard output may be the page itself.
        (sys.stderr if options.out == "-" else sys.stdout).write(clean(line) + "\n")
    return OK if done.report.ok else DEFECT


def _verdict(report: Report) -> str:
    if report.ok:
        return f"the journal is verified, {report.records:,} records"
    return f"THE JOURNAL IS BROKEN, {len(report.defects)} defects"


def _export(options: argparse.Namespace) -> int:
    form: Format = options.format
    for call in query.calls(query.entries(_place(options)), _filter(options)):
        sys.stdout.write(json.dumps(export(call, form), separators=(",", ":")) + "\n")
    return OK


def _prune(options: argparse.Namespace) -> int:
    if options.older_than is None and options.max_size is None:
        raise _Usage("gatelodge audit prune: say --older-than or --max-size, or both")
    try:
        ours = version("gatelodge-core")
    except PackageNotFoundError:
        ours = "unknown"
    result = prune(
        _place(options),
        version=ours,
        older_than=options.older_than,
        max_bytes=options.max_size,
        dry_run=options.dry_run,
        key_file=options.key,
    )
    would = "would remove" if options.dry_run else "removed"
    _out(
        *(f"kept: {text}" for text in result.kept),
        *(f"{would} {name}" for name in result.files),
        f"{would} {len(result.files)} files, {result.size} bytes",
    )
    return OK


def _out(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(clean(line) + "\n")


def _place(options: argparse.Namespace) -> str:
    return str(options.directory) or journal_folder(state_folder(str(options.state_dir)))


def _filter(options: argparse.Namespace) -> query.Filter:
    return query.Filter(
        tool=options.tool,
        principal=options.principal,
        since=_when("--since", options.since),
        until=_when("--until", options.until),
        decision=options.decision,
        server=options.server,
    )


def _when(flag: str, text: str) -> str:
    """A time as the records write it."""
    if not text:
        return ""
    if _AGE.fullmatch(text):
        try:
            moment = datetime.now(UTC) - _age(text)
        except argparse.ArgumentTypeError as error:
            raise _Usage(f"gatelodge audit: {flag} {error}") from None
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _Usage(f"gatelodge audit: {flag} {text}: neither an age such as 2h nor a time in ISO 8601") from None
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}000Z"


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: an age is a number and one of s, m, h, d, w, such as 90d")
    age = int(found[1]) * _UNITS[found[2]]
    if age > 100 * 365 * 86400:
        raise argparse.ArgumentTypeError(f"{text}: more than a hundred years ago")
    return timedelta(seconds=age)


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: a size is a number and K, M or G, such as 500M")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


def _count(text: str, most: int = 100_000) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 0 < int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text[:20]}: a number from 1 to {most}")
    return int(text)


def _calls(text: str) -> int:
    return _count(text, 500_000)
