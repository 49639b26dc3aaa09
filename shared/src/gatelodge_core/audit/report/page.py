"""The page: template, style, scripts and data in one file that asks nothing of any network.

The content security policy allows the one style and the one script by their digests, and nothing else. Data is in an
element that no browser runs, with every ``<`` escaped, so that no text in it can end the element.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from gatelodge_core.audit.report import tables
from gatelodge_core.audit.report.columns import columns
from gatelodge_core.audit.report.flows import WINDOW, Flows
from gatelodge_core.audit.report.rows import Row
from gatelodge_core.audit.report.summary import Summary
from gatelodge_core.audit.verify import Report

MARK = b"<!doctype html>\n<!-- gatelodge audit report -->\n"
"""How a report begins, by which one is known that may be written over."""
SCRIPTS = (
    "columns.js", "dom.js", "state.js", "timeline.js", "facets.js", "latency.js", "refusals.js", "flows.js", "details.js",
    "table.js", "main.js",
)  # fmt: skip
"""In their order; together they are one module."""
_HOLE = re.compile(r"\{\{([a-z_]+)\}\}")


@dataclass(frozen=True, slots=True)
class Content:
    """What the page is about.

    Args:
        rows: The calls, oldest first.
        flows: Their flows.
        summary: Their numbers.
        report: What verification found.
        total: How many calls matched the filters; more than `rows` if the oldest were left out.
        unreadable: How many were left out since their time can't be read.
        filters: The filters of the command line, in words.
        made: When the page was made, in milliseconds since 1970.
        version: Of Gatelodge.
    """

    rows: Sequence[Row]
    flows: Flows
    summary: Summary
    report: Report
    total: int
    unreadable: int
    filters: Sequence[str]
    made: int
    version: str


def render(content: Content) -> bytes:
    """The page, UTF-8."""
    style, script = _file("report.css"), "\n".join(_file(f"scripts/{name}") for name in SCRIPTS)
    data = {**columns(content.rows, content.flows), "window": WINDOW}
    in_doubt = sum(not row.proven for row in content.rows)
    holes = {
        "policy": html.escape(_policy(style, script), quote=True),
        "style": style,
        "script": script,
        "data": _inert(data),
        "verdict": tables.verdict(content.report, in_doubt),
        "scope": _scope(content),
        "numbers": _numbers(content.summary),
        "tables": tables.tables(content.summary),
        "made": tables.moment(content.made),
        "version": html.escape(content.version),
    }
    # One pass: what is put in isn't looked at again, whatever it looks like.
    page = _HOLE.sub(lambda found: holes[found[1]], _file("report.html"))
    return MARK + page.encode("utf-8")


def _file(name: str) -> str:
    return files("gatelodge_core.audit.report").joinpath("files", *name.split("/")).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")


def _inert(data: object) -> str:
    packed = json.dumps(data, separators=(",", ":"))
    return packed.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _scope(content: Content) -> str:
    """What the page is about, and what it leaves out."""
    shown, total = len(content.rows), content.total
    said: list[str] = []
    if shown:
        until = content.rows[-1].time
        said.append(f"{tables.moment(content.summary.first)} to {tables.moment(until)} UTC")
    if content.filters:
        said.append("only " + ", ".join(tables.text(item) for item in content.filters))
    if total > shown:
        said.append(
            f"<strong>the latest {shown:,} of {total:,} calls</strong>; for others give --since, --until or --calls"
        )
    if content.unreadable:
        said.append(f"{content.unreadable:,} records without a readable time are left out")
    return "".join(f"<li>{item}</li>" for item in said)


def _numbers(summary: Summary) -> str:
    whole = summary.whole
    facts = [
        ("calls", f"{whole.calls:,}"),
        ("refused", f"{whole.refused:,}"),
        ("errors", f"{whole.errors:,}"),
        ("unfinished", f"{summary.unfinished:,}"),
        *((f"p{part}", tables.duration(whole.percentile(part))) for part in (50, 95, 99)),
    ]
    return "".join(f'<div><dt>{name}</dt><dd id="number-{name}">{value}</dd></div>' for name, value in facts)
