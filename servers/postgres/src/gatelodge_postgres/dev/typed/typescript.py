"""TypeScript interfaces, and zod schemas, for what node-postgres returns."""

from __future__ import annotations

import json
import re

from gatelodge_postgres.dev.typed.shapes import Column, Shape, Shapes, Type, line

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_TYPES = {
    "bool": "boolean", "int2": "number", "int4": "number", "oid": "number", "float4": "number", "float8": "number",
    "json": "unknown", "jsonb": "unknown", "date": "Date", "timestamp": "Date", "timestamptz": "Date",
    "bytea": "Uint8Array", "point": "{ x: number; y: number }", "circle": "{ x: number; y: number; radius: number }",
    "interval": "{ years?: number; months?: number; days?: number; hours?: number; minutes?: number; seconds?: number; milliseconds?: number }",
    "hstore": "string",
}  # fmt: skip
_ZOD = {
    "bool": "z.boolean()", "int2": "z.number().int().min(-32768).max(32767)",
    "int4": "z.number().int().min(-2147483648).max(2147483647)", "oid": "z.number().int().min(0)",
    "float4": "z.number()", "float8": "z.number()", "json": "z.unknown()", "jsonb": "z.unknown()", "date": "z.date()",
    "timestamp": "z.date()", "timestamptz": "z.date()", "bytea": "z.instanceof(Uint8Array)", "uuid": "z.string().uuid()",
    "int8": "z.string().regex(/^-?\\d+$/)", "point": "z.object({ x: z.number(), y: z.number() })",
    "circle": "z.object({ x: z.number(), y: z.number(), radius: z.number() })", "interval": "z.object({}).passthrough()",
}  # fmt: skip
NOTE = "As node-postgres returns rows: int8, numeric and money as strings, dates as Date."


def typescript(found: Shapes, shape: Shape) -> str:
    """The interfaces of one table: of a row, and of what an INSERT gives."""
    parts = [*_comment(shape.comment), f"export interface {shape.name} {{"]
    for column in shape.columns:
        parts += [f"  {item}" for item in _comment(column.comment)]
        parts.append(f"  {_key(column.name)}: {_column(found, column)};")
    parts.append("}")
    if shape.writable:
        parts.append(f"export interface {shape.name}Insert {{")
        for column in shape.columns:
            if column.given:
                mark = "?" if column.optional else ""
                parts.append(f"  {_key(column.name)}{mark}: {_column(found, column)};")
        parts.append("}")
    return "\n".join(parts)


def typescript_type(found: Shapes, one: Type) -> str:
    """The declaration of an enum or composite type."""
    name = found.names[one.oid]
    if one.kind == "e":
        return f"export type {name} = {' | '.join(_string(label) for label in one.labels) or 'never'};"
    fields = [f"  {_key(field)}: {_of(found, kind)} | null;" for field, kind, _ in one.fields]
    return "\n".join([f"export interface {name} {{", *fields, "}"])


def _column(found: Shapes, column: Column) -> str:
    _, _, required = found.base(column.type, column.modifier)
    text = _of(found, column.type)
    return text if column.required or required or text == "unknown" else f"{text} | null"


def _of(found: Shapes, oid: int) -> str:
    one, _, _ = found.base(oid, -1)
    if one.inner:
        inner = _of(found, one.inner)
        return "unknown[]" if inner == "unknown" else f"({inner} | null)[]"
    return found.names.get(one.oid) or _TYPES.get(one.name, "string")


def zod(found: Shapes, shape: Shape) -> str:
    """The schema of one table's rows."""
    parts = [*_comment(shape.comment), f"export const {shape.name} = z.object({{"]
    for column in shape.columns:
        parts += [f"  {item}" for item in _comment(column.comment)]
        _, modifier, required = found.base(column.type, column.modifier)
        text = _zod(found, column.type, modifier)
        parts.append(f"  {_key(column.name)}: {text}{'' if column.required or required else '.nullable()'},")
    parts += ["});", f"export type {shape.name} = z.infer<typeof {shape.name}>;"]
    return "\n".join(parts)


def zod_type(found: Shapes, one: Type) -> str:
    """The schema of an enum or composite type."""
    name = found.names[one.oid]
    if one.kind == "e":
        labels = ", ".join(_string(label) for label in one.labels)
        return f"export const {name} = {f'z.enum([{labels}])' if labels else 'z.never()'};"
    fields = [f"  {_key(field)}: {_zod(found, kind, modifier)}.nullable()," for field, kind, modifier in one.fields]
    return "\n".join([f"export const {name} = z.object({{", *fields, "});"])


def _zod(found: Shapes, oid: int, modifier: int) -> str:
    one, modifier, _ = found.base(oid, modifier)
    if one.inner:
        return f"z.array({_zod(found, one.inner, modifier)}.nullable())"
    if one.oid in found.names:
        return found.names[one.oid]
    text = _ZOD.get(one.name, "z.string()")
    if one.name in ("varchar", "bpchar") and modifier > 4:
        text += f".max({modifier - 4})"
    return text


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> list[str]:
    return [f"/** {line(text)} */"] if text else []
