"""GitHub's GraphQL API with a test's data behind it: what is asked is held to GitHub's own schema.

    proxy.graphql(lambda document, variables: answer(document, variables, {"repository": {"issue": {...}}}))

The data are plain dicts, lists and scalars by the names of the schema, with ``__typename`` where an interface or a
union stands (such as an author). They must hold whatever is asked for, None included, and nothing the schema doesn't
know: otherwise the test is wrong, not the server, and `CannedDataError` says where. A value may be a function of the
field's arguments, ``lambda _info, number: ...``, or a `Refusal`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_schema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType] - an option of it is a bare `tuple`
    get_named_type,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import NoDeprecatedCustomRule

from tests.github.install import GRAPHQL, lanes
from tests.github.needed import need

MOST_ITEMS = 100
MOST_NODES = 500_000
"""What GitHub's guide "Rate limits and query limits for the GraphQL API" allows a page, and all pages of a call."""


class Refusal(Exception):
    """An error that GitHub answers in the place of a field.

    Args:
        kind: As ``NOT_FOUND`` or ``FORBIDDEN``.
        message: As "Could not resolve to a Repository with the name 'o/r'."
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class CannedDataError(AssertionError):
    """A test's data don't fit the schema, or lack what is asked for."""


@functools.cache
def schema() -> GraphQLSchema:
    """GitHub's public schema, built once; the test is skipped if it isn't installed."""
    need(GRAPHQL.name)
    return build_schema((lanes() / GRAPHQL.name).read_text("utf-8"), assume_valid=True, no_location=True)


def check(document: str, variables: Mapping[str, Any], *, deprecated: bool = False) -> list[str]:
    """What GitHub would refuse a request for, a line each, before it looks at any data.

    Beyond GitHub: a variable that isn't declared is a problem, and with `deprecated` a field that will go.
    """
    return [error.message for error in _errors(document, variables, deprecated=deprecated)]


def answer(document: str, variables: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON that ``POST /graphql`` answers if `root` is what GitHub has: ``data``, ``errors``, or both.

    A document that GitHub would refuse, or variables of another type, give ``errors`` alone.

    Raises:
        CannedDataError: `root` is wrong.
    """
    if refused := _errors(document, variables):
        return {"errors": [_formatted(error) for error in refused]}
    result = _executed(parse(document), variables, root, _resolve)
    for error in result.errors or ():
        if not isinstance(error.original_error, Refusal):
            raise CannedDataError(str(error)) from error.original_error
    data: dict[str, Any] = {"data": result.data}
    return {**data, "errors": [_formatted(error) for error in result.errors]} if result.errors else data


def _errors(document: str, variables: Mapping[str, Any], *, deprecated: bool = False) -> list[GraphQLError]:
    try:
        parsed = parse(document)
    except GraphQLError as error:
        return [error]
    rules = [*specified_rules, *([NoDeprecatedCustomRule] if deprecated else [])]
    if found := validate(schema(), parsed, rules):
        return list(found)
    operations = [one for one in parsed.definitions if isinstance(one, OperationDefinitionNode)]
    if len(operations) != 1:
        return [GraphQLError(f"there are {len(operations)} operations, and one is asked for")]
    declared = {one.variable.name.value for one in operations[0].variable_definitions or ()}
    undeclared = [GraphQLError(f"variable ${name} is not declared") for name in variables if name not in declared]
    return undeclared or _coerced(parsed, variables) or list(_Pages(parsed, variables).problems(operations[0]))


def _coerced(document: DocumentNode, variables: Mapping[str, Any]) -> list[GraphQLError]:
    """What is wrong with the variables: then nothing is executed, not even the first field."""
    result = _executed(document, variables, {}, lambda *_, **__: None)
    return [error for error in result.errors or () if error.path is None]


def _executed(
    document: DocumentNode, variables: Mapping[str, Any], root: Mapping[str, Any], resolver: Callable[..., Any]
) -> ExecutionResult:
    return execute_sync(schema(), document, root, variable_values=dict(variables), field_resolver=resolver)


def _resolve(source: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    where = ".".join(str(step) for step in info.path.as_list())
    if not isinstance(source, Mapping):
        raise CannedDataError(f"{where}: its object is {type(source).__name__}, not a dict")
    fields = cast("Mapping[str, Any]", source)
    if info.path.prev is not None:  # the root may have queries and mutations
        unknown = fields.keys() - info.parent_type.fields.keys() - {"__typename"}
        if unknown:
            raise CannedDataError(f"{where}: {info.parent_type.name} has no {', '.join(sorted(unknown))}")
    if info.field_name not in fields:
        raise CannedDataError(f"{where}: the canned data lack it")
    value = fields[info.field_name]
    return value(info, **arguments) if callable(value) else value


def _formatted(error: GraphQLError) -> dict[str, Any]:
    made: dict[str, Any] = {"message": error.message}
    if isinstance(error.original_error, Refusal):
        made["type"] = error.original_error.kind
    if error.path:
        made["path"] = error.path
    if error.locations:
        made["locations"] = [{"line": one.line, "column": one.column} for one in error.locations]
    return made


class _Pages:
    """GitHub's limits on pages, which its schema doesn't tell, for a document that is valid by the schema."""

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        definitions = document.definitions
        self._fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        self._variables = variables
        self._nodes = 0

    def problems(self, operation: OperationDefinitionNode) -> Iterator[GraphQLError]:
        """What is wrong."""
        root = schema().get_root_type(operation.operation)
        assert root is not None
        yield from self._walk(operation.selection_set, root, 1)
        if self._nodes > MOST_NODES:
            yield GraphQLError(f"the query asks for up to {self._nodes:,} nodes, and at most {MOST_NODES:,} may be")

    def _walk(self, selected: SelectionSetNode, parent: GraphQLNamedType, times: int) -> Iterator[GraphQLError]:
        for one in selected.selections:
            if isinstance(one, FieldNode):
                yield from self._field(one, parent, times)
            elif isinstance(one, InlineFragmentNode):
                condition = one.type_condition
                within = schema().type_map[condition.name.value] if condition else parent
                yield from self._walk(one.selection_set, within, times)
            elif isinstance(one, FragmentSpreadNode):
                fragment = self._fragments[one.name.value]
                within = schema().type_map[fragment.type_condition.name.value]
                yield from self._walk(fragment.selection_set, within, times)

    def _field(self, field: FieldNode, parent: GraphQLNamedType, times: int) -> Iterator[GraphQLError]:
        if field.selection_set is None or not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return
        name = field.name.value
        if name.startswith("__"):
            return
        kind = cast("GraphQLNamedType", get_named_type(parent.fields[name].type))
        inside = {one.name.value for one in field.selection_set.selections if isinstance(one, FieldNode)}
        if kind.name.endswith("Connection") and inside & {"nodes", "edges"}:
            page = self._page(field)
            if page is None:
                yield GraphQLError(f"`{name}` needs `first` or `last` to give a page", [field])
                return
            if not 1 <= page <= MOST_ITEMS:
                yield GraphQLError(f"`{name}` is asked for {page} items: 1 to {MOST_ITEMS} may be", [field])
            times *= max(page, 1)
            self._nodes += times
        yield from self._walk(field.selection_set, kind, times)

    def _page(self, field: FieldNode) -> int | None:
        for argument in field.arguments or ():
            if argument.name.value in {"first", "last"}:
                value = argument.value
                if isinstance(value, IntValueNode):
                    return int(value.value)
                if isinstance(value, VariableNode):
                    return self._variables.get(value.name.value)
        return None
