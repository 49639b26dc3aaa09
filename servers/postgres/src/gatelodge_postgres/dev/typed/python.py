"""Python classes: pydantic models of rows, and SQLAlchemy mappings."""

from __future__ import annotations

import keyword
import re

from gatelodge_postgres.dev.typed.shapes import Column, Shape, Shapes, Type, line

_NOT_WORD = re.compile(r"\W+")
# Modules come under names that no field gets: fields never begin with an underscore.
PYDANTIC_HEAD = """from __future__ import annotations

import datetime as _datetime
import decimal as _decimal
import enum as _enum
import ipaddress as _ipaddress
import typing as _typing
import uuid as _uuid

from pydantic import BaseModel, ConfigDict, Field
"""
_TYPES = {
    "bool": "bool", "int2": "int", "int4": "int", "int8": "int", "oid": "int", "float4": "float", "float8": "float",
    "numeric": "_decimal.Decimal", "json": "_typing.Any", "jsonb": "_typing.Any", "date": "_datetime.date",
    "timestamp": "_datetime.datetime", "timestamptz": "_datetime.datetime", "time": "_datetime.time",
    "timetz": "_datetime.time", "interval": "_datetime.timedelta", "bytea": "bytes", "uuid": "_uuid.UUID",
    "inet": "_ipaddress.IPv4Address | _ipaddress.IPv6Address | _ipaddress.IPv4Interface | _ipaddress.IPv6Interface",
    "cidr": "_ipaddress.IPv4Network | _ipaddress.IPv6Network", "hstore": "dict[str, str | None]",
}  # fmt: skip
_MODEL_NAMES = frozenset((
    "construct", "copy", "dict", "fields", "from_orm", "json", "parse_file", "parse_obj", "parse_raw",
    "schema", "schema_json", "update_forward_refs", "validate", "bool", "bytes", "float", "int", "list",
    "str", "object", "property", "classmethod", "staticmethod", "BaseModel", "ConfigDict", "Field",
))  # fmt: skip
"""Names that a model's own methods have, or that annotations mean."""
SQLALCHEMY_HEAD = """from __future__ import annotations

import datetime as _datetime
import decimal as _decimal
import typing as _typing
import uuid as _uuid

import sqlalchemy as _sa
from sqlalchemy.dialects import postgresql as _pg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass
"""
_ALCHEMY = {
    "bool": ("_sa.Boolean()", "bool"), "int2": ("_sa.SmallInteger()", "int"), "int4": ("_sa.Integer()", "int"),
    "int8": ("_sa.BigInteger()", "int"), "oid": ("_pg.OID()", "int"), "float4": ("_sa.REAL()", "float"),
    "float8": ("_sa.Double()", "float"), "numeric": ("_sa.Numeric()", "_decimal.Decimal"), "money": ("_pg.MONEY()", "str"),
    "text": ("_sa.Text()", "str"), "varchar": ("_sa.String()", "str"), "bpchar": ("_sa.CHAR()", "str"),
    "uuid": ("_sa.Uuid()", "_uuid.UUID"), "date": ("_sa.Date()", "_datetime.date"),
    "timestamp": ("_sa.DateTime()", "_datetime.datetime"),
    "timestamptz": ("_sa.DateTime(timezone=True)", "_datetime.datetime"), "time": ("_sa.Time()", "_datetime.time"),
    "timetz": ("_sa.Time(timezone=True)", "_datetime.time"), "interval": ("_pg.INTERVAL()", "_datetime.timedelta"),
    "json": ("_pg.JSON()", "_typing.Any"), "jsonb": ("_pg.JSONB()", "_typing.Any"), "bytea": ("_sa.LargeBinary()", "bytes"),
    "inet": ("_pg.INET()", "_typing.Any"), "cidr": ("_pg.CIDR()", "_typing.Any"), "macaddr": ("_pg.MACADDR()", "str"),
    "macaddr8": ("_pg.MACADDR8()", "str"), "bit": ("_pg.BIT()", "_typing.Any"), "varbit": ("_pg.BIT(varying=True)", "_typing.Any"),
    "tsvector": ("_pg.TSVECTOR()", "str"), "tsquery": ("_pg.TSQUERY()", "str"), "citext": ("_pg.CITEXT()", "str"),
    "hstore": ("_pg.HSTORE()", "dict[str, str | None]"), "regclass": ("_pg.REGCLASS()", "str"),
    **{
        f"{name}{kind}": (f"_pg.{name.upper()}{kind.upper()}()", "_typing.Any")
        for name in ("int4", "int8", "num", "ts", "tstz", "date") for kind in ("range", "multirange")
    },
}  # fmt: skip


def pydantic(found: Shapes, shape: Shape) -> str:
    """The model of one table's rows."""
    lines = [f"class {shape.name}(BaseModel):"]
    lines += [f"    # {line(shape.comment)}"] if shape.comment else []
    lines.append("    model_config = ConfigDict(from_attributes=True, populate_by_name=True)")
    taken: set[str] = set()
    for column in shape.columns:
        name = _field(column.name, taken)
        _, modifier, required = found.base(column.type, column.modifier)
        text = _annotation(found, column.type)
        text += "" if column.required or required or text == "_typing.Any" else " | None"
        options = [f"alias={column.name!r}"] if name != column.name else []
        one, _, _ = found.base(column.type, column.modifier)
        options += [f"max_length={modifier - 4}"] if one.name in ("varchar", "bpchar") and modifier > 4 else []
        note = f"  # {line(column.comment)}" if column.comment else ""
        value = f" = Field({', '.join(options)})" if options else ""
        lines.append(f"    {name}: {text}{value}{note}")
    return "\n".join(lines)


def pydantic_type(found: Shapes, one: Type) -> str:
    """The class of an enum or composite type."""
    name = found.names[one.oid]
    taken: set[str] = set()
    if one.kind == "e":
        members = [f"    {_field(label.upper(), taken, prefix='V_')} = {label!r}" for label in one.labels]
        return "\n".join([f"class {name}(str, _enum.Enum):", *(members or ["    pass"])])
    lines = [f"class {name}(BaseModel):", "    model_config = ConfigDict(from_attributes=True, populate_by_name=True)"]
    for field, kind, _ in one.fields:
        own = _field(field, taken)
        text = _annotation(found, kind)
        lines.append(f"    {own}: {text} | None{f' = Field(alias={field!r})' if own != field else ''}")
    return "\n".join(lines)


def _annotation(found: Shapes, oid: int) -> str:
    one, _, _ = found.base(oid, -1)
    if one.inner:
        return f"list[{_annotation(found, one.inner)} | None]"
    if one.kind in ("r", "m"):
        return "_typing.Any"
    return found.names.get(one.oid) or _TYPES.get(one.name, "str")


def _field(name: str, taken: set[str], prefix: str = "f_") -> str:
    """A column's name as an attribute; what can't be one is changed, and stands beside as alias."""
    word = _NOT_WORD.sub("_", name).strip("_") if not name.isidentifier() or name.startswith("_") else name
    if not word.isidentifier():
        word = f"{prefix}{word}" if f"{prefix}{word}".isidentifier() else f"{prefix}{len(taken)}"
    if keyword.iskeyword(word) or word in _MODEL_NAMES or word.startswith("model_"):
        word = f"{word}_" if not word.startswith("model_") else f"{prefix}{word}"
    plain, number = word, 2
    while word in taken:
        word, number = f"{plain}_{number}", number + 1
    taken.add(word)
    return word


def sqlalchemy(found: Shapes, shape: Shape) -> str:
    """The mapping of one table; a Table where there is no primary key, as a view has none."""
    if not any(column.key for column in shape.columns):
        return _core(found, shape)
    lines = [f"class {shape.name}(Base):"]
    lines += [f"    # {line(shape.comment)}"] if shape.comment else []
    lines.append(f"    __tablename__ = {shape.table.name!r}")
    by_oid = {other.table.oid: other for other in found.shapes}
    keys = [_key(shape, by_oid[oid], own, theirs) for oid, own, theirs in shape.keys]
    parts = [*(key for key in keys if key), f"{{'schema': {shape.table.schema!r}}}"]
    lines.append(f"    __table_args__ = ({', '.join(parts)},)")
    taken = {"metadata", "registry", "Base", "Mapped", "mapped_column", "DeclarativeBase"}
    for column in shape.columns:
        name = _field(column.name, taken)
        kind, python = _mapped(found, column.type, column.modifier)
        python += "" if column.required or column.key else " | None"
        options = [repr(column.name), kind, *_options(column)]
        note = f"  # {line(column.comment)}" if column.comment else ""
        lines.append(f"    {name}: Mapped[{python}] = mapped_column({', '.join(options)}){note}")
    return "\n".join(lines)


def _core(found: Shapes, shape: Shape) -> str:
    columns = [
        f"    _sa.Column({', '.join([repr(column.name), _mapped(found, column.type, column.modifier)[0], *_options(column)])}),"
        for column in shape.columns
    ]
    head = f"{shape.name} = _sa.Table(\n    {shape.table.name!r},\n    Base.metadata,"
    return "\n".join([head, *columns, f"    schema={shape.table.schema!r},", ")"])


def sqlalchemy_type(found: Shapes, one: Type) -> str:
    """The type object of an enum; composite types have none."""
    if one.kind != "e":
        return ""
    labels = ", ".join(repr(label) for label in one.labels)
    # With a trailing comma even an enum without labels is a call that Python understands.
    return f"{found.names[one.oid]} = _pg.ENUM({labels}{', ' if labels else ''}name={one.name!r}, schema={one.schema!r}, create_type=False)"


def _options(column: Column) -> list[str]:
    options = ["primary_key=True"] if column.key else [f"nullable={not column.required}"]
    options += [f"_sa.Identity(always={column.identity == 'a'})"] if column.identity else []
    options += [f"_sa.Computed({column.generated!r}, persisted={column.stored})"] if column.generated else []
    options += [f"server_default=_sa.text({column.default!r})"] if column.default else []
    # Positional ones first.
    return sorted(options, key=lambda option: not option.startswith("_sa."))


def _mapped(found: Shapes, oid: int, modifier: int) -> tuple[str, str]:
    """(type expression, annotation)."""
    one, modifier, _ = found.base(oid, modifier)
    if one.inner:
        kind, python = _mapped(found, one.inner, modifier)
        return f"_pg.ARRAY({kind})", f"list[{python} | None]"
    if one.kind == "e":
        return found.names[one.oid], "str"
    kind, python = _ALCHEMY.get(one.name, ("_sa.Text()", "str"))
    if one.name in ("varchar", "bpchar") and modifier > 4:
        kind = kind.replace("()", f"({modifier - 4})")
    if one.name == "numeric" and modifier > 4:
        precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
        kind = f"_sa.Numeric({precision}, {scale})" if scale <= precision else kind
    return kind, python


def _key(shape: Shape, other: Shape, own: list[int], theirs: list[int]) -> str:
    names = {column.number: column.name for column in shape.columns}
    targets = {column.number: column.name for column in other.columns}
    full = [f"{other.table.schema}.{other.table.name}.{targets[number]}" for number in theirs]
    if any(name.count(".") != 2 for name in full):
        return ""  # such a name can't be told from its parts
    return f"_sa.ForeignKeyConstraint({[names[number] for number in own]!r}, {full!r})"
