"""The journal in the forms that other tools read: JSON lines, OCSF, and spans of OpenTelemetry.

Pure functions over calls; nothing here opens a file or a connection.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Literal

from gatelodge_core.audit.query import Called

Format = Literal["jsonl", "ocsf", "otel"]

MOST = 10**12
"""The largest number that is believed of a duration in milliseconds or of a count."""
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_METHODS = {
    "tool": "tools/call",
    "resource": "resources/read",
    "prompt": "prompts/get",
    "completion": "completion/complete",
}


def export(call: Called, form: Format) -> dict[str, object]:
    """A call in one of the forms."""
    return {"jsonl": jsonl, "ocsf": ocsf, "otel": otel}[form](call)


def jsonl(call: Called) -> dict[str, object]:
    """The two records of a call as one object: the intent's or refusal's fields, and ``outcome``."""
    return {
        "server": call.entry.server,
        "file": call.entry.file,
        **call.entry.fields,
        "outcome": None if call.outcome is None else call.outcome.fields,
    }


def ocsf(call: Called) -> dict[str, object]:
    """An event of OCSF 1.6.0, class API Activity (6003).

    Not under the ``ai_operation`` profile, which asks for the model: a server doesn't know it.
    """
    entry, outcome = call
    activity = {"read": 2, "write": 3, "destroy": 4}.get(entry.text("effect"), 99)
    status = status_of(call)
    # OCSF status_id: 0 Unknown, 1 Success, 2 Failure.
    status_id = {"ok": 1, "unfinished": 0}.get(status, 2)
    principal = entry.table("principal")
    claims = entry.table("claims")
    unmapped: dict[str, object] = {
        "decision": entry.text("decision"),
        "rule": entry.text("rule"),
        "args_digest": entry.text("args"),
        "labels": entry.table("labels"),
        **({"reason": entry.text("reason")} if entry.text("reason") else {}),
    }
    event: dict[str, object] = {
        "class_uid": 6003,
        "class_name": "API Activity",
        "category_uid": 6,
        "category_name": "Application Activity",
        "activity_id": activity,
        "activity_name": {2: "Read", 3: "Update", 4: "Delete"}.get(activity, "Other"),
        "type_uid": 600300 + activity,
        "severity_id": 1,
        "severity": "Informational",
        "status_id": status_id,
        "status": ("Unknown", "Success", "Failure")[status_id],
        "status_code": status,
        "time": nanoseconds(entry.text("ts")) // 1_000_000,
        "metadata": {
            "version": "1.6.0",
            "product": {"name": "Gatelodge", "vendor_name": "Gatelodge", "feature": {"name": entry.server}},
            "uid": f"{entry.chain}:{entry.text('seq')}",
            "log_name": entry.file,
            "original_time": entry.text("ts"),
        },
        "actor": {
            "user": {"uid": str(principal.get("subject", "")), "type": str(principal.get("method", ""))},
            **({"app_name": str(claims["name"])} if "name" in claims else {}),
        },
        "api": {
            "operation": f"{_METHODS.get(entry.text('kind'), entry.text('kind'))} {entry.text('name')}",
            "service": {"name": f"gatelodge-{entry.server}"},
            "request": {"uid": entry.text("request")},
            **({"version": entry.text("protocol")} if entry.text("protocol") else {}),
        },
        "src_endpoint": {"name": entry.text("transport") or "unknown"},
        "count": alike_of(call),
        "unmapped": unmapped,
    }
    if outcome is not None:
        event["duration"] = round(_float(outcome.fields.get("ms")))
        unmapped["result_digest"] = outcome.text("result")
        unmapped["result_bytes"] = outcome.fields.get("result_bytes")
        unmapped["redactions"] = outcome.fields.get("redactions")
        if outcome.text("error"):
            event["status_detail"] = outcome.text("error")
    elif entry.text("reason"):
        event["status_detail"] = entry.text("reason")
    return event


def otel(call: Called) -> dict[str, object]:
    """A span-like object with the attributes of the GenAI and MCP conventions (status: Development).

    The trace comes from the message's ``traceparent`` if it had one; ids are otherwise derived from the record's
    place, so that a second export gives the same ones.
    """
    entry, outcome = call
    begin = nanoseconds(entry.text("ts"))
    place = hashlib.sha256(f"{entry.chain}:{entry.text('seq')}".encode("ascii", "replace")).hexdigest()
    parent = _TRACEPARENT.fullmatch(entry.text("traceparent"))
    method = _METHODS.get(entry.text("kind"), entry.text("kind"))
    name = entry.text("name")
    status = status_of(call)
    attributes: dict[str, object] = {
        "mcp.method.name": method,
        "mcp.protocol.version": entry.text("protocol"),
        "jsonrpc.request.id": entry.text("request"),
        **({"client.address": address} if (address := entry.text("transport").partition(" ")[2]) else {}),
        "network.transport": "pipe" if entry.text("transport") == "stdio" else "tcp",
        "gatelodge.server": entry.server,
        "gatelodge.decision": entry.text("decision"),
        "gatelodge.rule": entry.text("rule"),
        **({"gatelodge.count": alike} if (alike := alike_of(call)) > 1 else {}),
        "gatelodge.args.digest": entry.text("args"),
    }
    if entry.text("kind") == "tool":
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    elif entry.text("kind") == "prompt":
        attributes["gen_ai.prompt.name"] = name
    elif entry.text("kind") == "resource":
        attributes["mcp.resource.uri"] = name
    if status != "ok":
        error = outcome.text("error") if outcome is not None else entry.text("reason")
        attributes["error.type"] = error or ("tool_error" if status == "error" else status)
    # A resource's URI has too many values for a span's name; so say the conventions.
    target = f" {name}" if entry.text("kind") in {"tool", "prompt"} else ""
    length = int(_float(outcome.fields.get("ms")) * 1e6) if outcome is not None else 0
    return {
        "name": method + target,
        "kind": "SERVER",
        "trace_id": parent[1] if parent else place[:32],
        "span_id": place[32:48],
        **({"parent_span_id": parent[2]} if parent else {}),
        "start_time_unix_nano": begin,
        "end_time_unix_nano": begin + length,
        "attributes": {key: value for key, value in attributes.items() if value != ""},
        "status": {"code": {"ok": "UNSET", "unfinished": "UNSET"}.get(status, "ERROR")},
        "resource": {"service.name": f"gatelodge-{entry.server}"},
    }


def status_of(call: Called) -> str:
    """How a call ended: its outcome's status, ``refused``, or ``unfinished``."""
    if call.outcome is not None:
        return call.outcome.text("status")
    return "refused" if call.entry.text("type") == "refusal" else "unfinished"


def alike_of(call: Called) -> int:
    """How many calls the record stands for: more than one where refusals were counted (`auth.turned`)."""
    return max(1, int(_float(call.entry.fields.get("count"))))


def nanoseconds(time: str) -> int:
    """A record's time as nanoseconds since 1970; 0 if it isn't one."""
    try:
        seconds = datetime.strptime(time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        return int(seconds.timestamp()) * 1_000_000_000 + int(time[20:29])
    except ValueError:
        return 0


def _float(value: object) -> float:
    # What somebody wrote into the journal can be any number, also one that is none.
    return float(min(max(value, 0), MOST)) if isinstance(value, (int, float)) and value == value else 0.0  # noqa: PLR0124 - NaN alone isn't
