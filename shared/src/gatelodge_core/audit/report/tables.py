"""Numbers as HTML tables. Every text that comes from a record goes through `text`, and none through anything else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from gatelodge_core.audit.records import timestamp
from gatelodge_core.audit.report.flows import Spot
from gatelodge_core.audit.report.rows import MAX_TEXT
from gatelodge_core.audit.report.summary import Flow, Group, Summary
from gatelodge_core.audit.scan import Defect
from gatelodge_core.audit.texts import clean
from gatelodge_core.audit.verify import Report

MAX_DEFECTS = 200
"""Defects and notes that are named one by one."""


def text(value: str) -> str:
    """A text as HTML: escaped, cut, and kept from turning its surroundings around."""
    shown = clean(value[: MAX_TEXT + 1])
    if len(shown) > MAX_TEXT:
        shown = shown[: MAX_TEXT - 1] + "…"
    return f"<bdi>{html.escape(shown)}</bdi>"


def moment(milliseconds: int) -> str:
    """A time to the second, UTC."""
    return timestamp(milliseconds * 1_000_000)[:19].replace("T", " ")


def duration(micros: int | None) -> str:
    """A duration with three digits that count and its unit."""
    if micros is None:
        return "&ndash;"
    if micros < 1000:
        return f"{micros} µs"
    value, unit = (micros / 1000, "ms") if micros < 1_000_000 else (micros / 1_000_000, "s")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are HTML already, the first of each row is its head, and heads that begin with ``#`` are numbers."""
    numbers = [head.startswith("#") for head in heads]
    kinds = [' class="number"' if number else "" for number in numbers]
    top = "".join(
        f'<th scope="col"{kind}>{html.escape(head.lstrip("#"))}</th>' for head, kind in zip(heads, kinds, strict=True)
    )
    body: list[str] = []
    for row in rows:
        first, *rest = row
        cells = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
        body.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    if not body:
        return f'<p class="none">{html.escape(caption)}: none.</p>'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption)}"><table>'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def tables(summary: Summary) -> str:
    """The whole summary."""
    heads = ("#calls", "#errors", "#refused", "#p50", "#p95", "#p99")
    parts = [
        table(f"Calls by {name}", (name, *heads), [_group(group) for group in groups])
        for name, groups in (
            ("server", summary.servers),
            ("tool", summary.tools),
            ("principal", summary.principals),
            ("decision", summary.decisions),
        )
    ]
    reasons = [(text(group.name), f"{group.calls:,}", moment(group.last)) for group in summary.reasons]
    parts.append(table("Refusals by reason", ("reason", "#calls", "last (UTC)"), reasons))
    flows = [_flow(flow) for flow in summary.flows]
    parts.append(table("Flows from source to sink", ("source", "sink", "#passed", "#asked", "#stopped"), flows))
    return "\n".join(parts)


def _group(group: Group) -> list[str]:
    counts = [f"{count:,}" for count in (group.calls, group.errors, group.refused)]
    return [text(group.name), *counts, *(duration(group.percentile(part)) for part in (50, 95, 99))]


def _flow(flow: Flow) -> list[str]:
    return [_spot(flow.source), _spot(flow.sink), *(f"{count:,}" for count in (flow.passed, flow.asked, flow.stopped))]


def _spot(spot: Spot) -> str:
    return f"{text(f'{spot.server} {spot.name}')} <small>{text(spot.trait)}</small>"


def verdict(report: Report, in_doubt: int) -> str:
    """What verification found, for the top of the page.

    Args:
        report: What it found.
        in_doubt: How many of the calls shown are not verified.
    """
    files = sum(len(chain.files) for chain in report.chains)
    counted = (
        f"{report.records:,} {_plural(report.records, 'record')} in {files:,} {_plural(files, 'file')} "
        f"of {len(report.chains):,} {_plural(len(report.chains), 'chain')}"
    )
    notes = _notes(report.notes)
    if report.ok:
        said = f"{counted}: none was changed, removed, moved or added." if report.chains else "The journal is empty."
        return (
            '<section id="verdict" class="verdict good" aria-labelledby="verdict-title"><h2 id="verdict-title">'
            f'<span aria-hidden="true">✓</span> Journal verified</h2><p>{said}</p>{notes}</section>'
        )
    count = len(report.defects)
    doubt = (
        f"<p><strong>{in_doubt:,} of the calls below are in doubt</strong> and marked: they stand at or after a defect.</p>"
        if in_doubt
        else ""
    )
    rows = [_defect(defect) for defect in report.defects[:MAX_DEFECTS]]
    more = f"<p>And {count - MAX_DEFECTS:,} more.</p>" if count > MAX_DEFECTS else ""
    return (
        '<section id="verdict" class="verdict broken" role="alert" aria-labelledby="verdict-title">'
        f'<h2 id="verdict-title"><span aria-hidden="true">✗</span> Journal broken: {count:,} '
        f"{_plural(count, 'defect')}</h2><p>{counted} are good. Somebody or something changed the rest after it was "
        "written; find out who could write to the journal's folder before you rely on what follows.</p>"
        + doubt
        + table("Defects, the first of each file", ("file", "#line", "#record", "kind", "what is wrong"), rows)
        + f"{more}{notes}</section>"
    )


def _defect(defect: Defect) -> list[str]:
    line = str(defect.line) if defect.line else "&ndash;"
    record = str(defect.seq) if defect.seq >= 0 else "&ndash;"
    return [text(defect.file), line, record, text(str(defect.kind)), text(defect.detail)]


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{text(note)}</li>" for note in notes[:MAX_DEFECTS])
    more = f"<li>and {len(notes) - MAX_DEFECTS:,} more</li>" if len(notes) > MAX_DEFECTS else ""
    title = f"{len(notes):,} {_plural(len(notes), 'note')}: what crashes left, and what could not be checked"
    return f"<details><summary>{title}</summary><ul>{items}{more}</ul></details>"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
