"""Go structs, for pgx or database/sql."""

from __future__ import annotations

import json

from gatelodge_postgres.dev.typed.shapes import Shape, Shapes, Type, line, pascal

_TYPES = {
    "bool": "bool", "int2": "int16", "int4": "int32", "int8": "int64", "oid": "uint32", "float4": "float32",
    "float8": "float64", "bytea": "[]byte", "json": "json.RawMessage", "jsonb": "json.RawMessage", "date": "time.Time",
    "timestamp": "time.Time", "timestamptz": "time.Time",
}  # fmt: skip
_SELF_NULL = ("[]", "json.")
"""What is nil for NULL by itself."""


def golang(found: Shapes, shape: Shape) -> str:
    """The struct of one table's rows."""
    fields = [
        (column.name, _column(found, column.type, required=column.required), column.comment) for column in shape.columns
    ]
    head = [f"// {shape.name}: {line(shape.comment)}"] if shape.comment else []
    return "\n".join([*head, *_struct(shape.name, fields)])


def golang_type(found: Shapes, one: Type) -> str:
    """The declaration of an enum or composite type."""
    name = found.names[one.oid]
    if one.kind == "c":
        return "\n".join(
            _struct(name, [(field, _column(found, kind, required=False), "") for field, kind, _ in one.fields])
        )
    lines = [f"type {name} string"]
    if one.labels:
        taken: set[str] = set()
        names = [_free(f"{name}{pascal(label)}", taken) for label in one.labels]
        width = max(map(len, names))
        lines += ["", "const (", *(f"\t{own:<{width}} {name} = {_string(label)}" for own, label in zip(names, one.labels, strict=True)), ")"]  # fmt: skip
    return "\n".join(lines)


def imports(text: str) -> str:
    """The import block that some code needs."""
    needed = [f'\t"{path}"' for path, mark in (("encoding/json", "json.RawMessage"), ("time", "time.Time")) if mark in text]  # fmt: skip
    return "import (\n" + "\n".join(needed) + "\n)\n" if needed else ""


def _struct(name: str, fields: list[tuple[str, str, str]]) -> list[str]:
    taken: set[str] = set()
    names = [_free(pascal(field), taken) for field, _, _ in fields]
    # As gofmt aligns them.
    width = max(map(len, names), default=0)
    wide = max((len(kind) for _, kind, _ in fields), default=0)
    lines: list[str] = []
    for own, (field, kind, comment) in zip(names, fields, strict=True):
        tag = f"db:{_string(field)} json:{_string(field)}"
        tag = f"`{tag}`" if "`" not in tag else _string(tag)
        lines.append(f"\t{own:<{width}} {kind:<{wide}} {tag}" + (f" // {line(comment)}" if comment else ""))
    return [f"type {name} struct {{", *lines, "}"]


def _free(name: str, taken: set[str]) -> str:
    # Only what begins with a capital is seen by other packages, and not every letter has one.
    plain = name if name[0].isupper() else f"X{name}"
    candidate, number = plain, 2
    while candidate in taken:
        candidate, number = f"{plain}{number}", number + 1
    taken.add(candidate)
    return candidate


def _column(found: Shapes, oid: int, *, required: bool) -> str:
    _, _, domain = found.base(oid, -1)
    kind = _of(found, oid)
    return kind if required or domain or kind.startswith(_SELF_NULL) else f"*{kind}"


def _of(found: Shapes, oid: int) -> str:
    one, _, _ = found.base(oid, -1)
    if one.inner:
        inner = _of(found, one.inner)
        return f"[]{inner}" if inner.startswith(_SELF_NULL) else f"[]*{inner}"
    return found.names.get(one.oid) or _TYPES.get(one.name, "string")


def _string(text: str) -> str:
    """A Go string: JSON's escapes are Go's too, but for the slash, which JSON needn't escape."""
    return json.dumps(text, ensure_ascii=False)
