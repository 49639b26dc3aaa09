"""An entry goes into a JSON file and out again, and every other character stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gatelodge_core.cli.hosts.jsonc import parse
from gatelodge_core.cli.hosts.jsonedit import append, drop, drop_item, put
from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.cli.hosts.unreadable import Unreadable
from hypothesis import given, settings
from hypothesis import strategies as st

ENTRY: dict[str, Any] = {"command": "/x/y", "args": ["a", "/d é"]}
PATH = ("mcpServers", "gatelodge-filesystem")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "s": {\n    "k": 1\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "k": 1\n  }\n}'),
        ('{"a":1}', '{"a":1,"s":{"k":1}}'),
        ('{"a": 1}\n', '{"a": 1, "s": {"k": 1}}\n'),
        ('{"s":{}}', '{"s":{"k":1}}'),
        ('{\n\t"s": {}\n}\n', '{\n\t"s": {\n\t\t"k": 1\n\t}\n}\n'),
        ('{\r\n    "a": 1\r\n}\r\n', '{\r\n    "a": 1,\r\n    "s": {\r\n        "k": 1\r\n    }\r\n}\r\n'),
        (
            '{\n  "s": {\n    "a": 2 // two\n  }, // end\n}',
            '{\n  "s": {\n    "a": 2, // two\n    "k": 1\n  }, // end\n}',
        ),
        ('{\n  "s": {\n    "a": 2, /* x */\n  }\n}', '{\n  "s": {\n    "a": 2, /* x */\n    "k": 1,\n  }\n}'),
        ('{\n  "s": {\n    // none yet\n  }\n}', '{\n  "s": {\n    // none yet\n    "k": 1\n  }\n}'),
        ("// only\n", '// only\n{\n  "s": {\n    "k": 1\n  }\n}\n'),
        ("// only", '// only\n{\n  "s": {\n    "k": 1\n  }\n}\n'),
    ],
)
def test_a_member_is_written_the_way_its_neighbours_are_and_goes_without_a_trace(before: str, after: str) -> None:
    made = Made()
    assert put(before, ("s", "k"), 1, made) == after
    # As it is kept between two runs.
    kept = Made.of(json.loads(json.dumps(made.table())))
    assert drop(after, ("s", "k"), kept) == before


def test_what_others_wrote_meanwhile_stays() -> None:
    made = Made()
    text = put("{}", ("s", "k"), 1, made)
    text = text.replace('"k": 1', '"k": 1, // ours\n    // theirs\n    "o": 2')
    assert parse(drop(text, ("s", "k"), made)).value() == {"s": {"o": 2}}
    assert "// theirs" in drop(text, ("s", "k"), made)


def test_a_comment_never_swallows_what_follows() -> None:
    for text in (
        '{"s": { // c\n "k": 1, "o": 2 }}',
        '{"s": { "o": 2, // c\n "k": 1 }}',
        '{"s": { "o": 2, // c\n "k": 1, }}',
        '{"s": { "o": 2, // c\n "k": 1, "p": 3 }}',
    ):
        left = parse(drop(text, ("s", "k"), Made())).value()["s"]
        assert left["o"] == 2
        assert "k" not in left


def test_setting_the_same_value_again_changes_nothing() -> None:
    text = '{"s" : {"k":   [ 1,2 ]}}'
    assert put(text, ("s", "k"), [1, 2], Made()) == text


def test_a_changed_value_leaves_its_surroundings() -> None:
    text = '{\n  "s": {\n    "k": ["a"], // why\n    "o": {"x": 1}\n  }\n}'
    assert put(text, ("s", "k"), ["b", "c"], Made()) == text.replace('["a"]', '["b", "c"]')


def test_items_of_lists_come_and_go_alike() -> None:
    for text in ('{"s": {}}', "{}", '{\n  "inputs": []\n}', '{\n  "inputs": [\n    {"id": "o"} // theirs\n  ]\n}'):
        made = Made()
        longer = append(text, ("inputs",), {"id": "i"}, made)
        items = parse(longer).value()["inputs"]
        assert items[-1] == {"id": "i"}
        assert drop_item(longer, ("inputs",), len(items) - 1, made) == text


@pytest.mark.parametrize("text", ['{"s": 1}', "[]", '{"s": []}', "1"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="is no object"):
        put(text, ("s", "k"), 1, Made())


SPACE = st.sampled_from(["", " ", "\n", "\n  ", "\r\n\t", " // c\n", "/* b */", "\n// d\n  "])
SCALARS = st.sampled_from(["1", "null", '"x"', '"a,}] // no"', '"\\u00e9"', "-1.5e3", "true"])


@st.composite
def texts(draw: st.DrawFn, depth: int = 0) -> str:
    """JSON with comments and trailing commas, its keys different from each other and from ours."""
    kind = draw(st.integers(0, 2 if depth else 1)) if depth < 3 else 2
    if kind == 2:
        return draw(SCALARS)
    count = draw(st.integers(0, 3))
    parts = [draw(SPACE) + (f'"k{i}"{draw(SPACE)}:{draw(SPACE)}' if kind else "") + draw(texts(depth + 1)) + draw(SPACE) for i in range(count)]  # fmt: skip
    trailing = "," + draw(SPACE) if count and draw(st.booleans()) else draw(SPACE) if not count else ""
    return ("{" if kind else "[") + ",".join(parts) + trailing + ("}" if kind else "]")


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A host's file, perhaps with our container, perhaps with nothing in it."""
    inner = draw(texts(2).filter(lambda text: text.startswith("{")))
    members = [f'{draw(SPACE)}"a"{draw(SPACE)}: {draw(texts(1))}{draw(SPACE)}' for _ in range(draw(st.integers(0, 1)))]
    if draw(st.booleans()):
        members.insert(
            draw(st.integers(0, len(members))), f'{draw(SPACE)}"mcpServers":{draw(SPACE)}{inner}{draw(SPACE)}'
        )
    trailing = "," if members and draw(st.booleans()) else ""
    whole = "{" + ",".join(members) + trailing + draw(SPACE) + "}"
    return draw(SPACE) + draw(st.sampled_from([whole, whole, whole, ""])) + draw(SPACE)


@given(configurations())
@settings(max_examples=150, deadline=None)
def test_install_then_uninstall_gives_back_any_text(text: str) -> None:
    made = Made()
    before: dict[str, Any] = parse(text).value() or {}
    longer = put(text, PATH, ENTRY, made)
    assert parse(longer).value() == {**before, "mcpServers": {**before.get("mcpServers", {}), PATH[1]: ENTRY}}
    assert drop(longer, PATH, Made.of(made.table())) == text


@given(configurations(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_two_entries_go_in_any_order_and_nothing_is_left(text: str, first: bool) -> None:
    made = Made()
    other = ("mcpServers", "gatelodge-github")
    longer = put(put(text, PATH, ENTRY, made), other, ENTRY, made)
    order = (PATH, other) if first else (other, PATH)
    assert drop(drop(longer, order[0], made), order[1], made) == text


@given(configurations())
@settings(max_examples=100, deadline=None)
def test_taking_out_without_a_record_keeps_the_meaning(text: str) -> None:
    longer = put(text, PATH, ENTRY, Made())
    before: dict[str, Any] = parse(text).value() or {}
    after: dict[str, Any] = parse(drop(longer, PATH, Made())).value() or {}
    assert after == {**before, "mcpServers": before.get("mcpServers", {})}
