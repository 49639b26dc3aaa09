"""Strict JSON: what is refused, what passes unchanged, and that no input crashes it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from gatelodge_core.guard.wire import (
    MAX_ID,
    MAX_PARTS,
    MAX_SEARCHED,
    Json,
    WireError,
    decode,
    decode_message,
    sendable_json,
)
from hypothesis import given
from hypothesis import strategies as st

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_every_plain_value_passes_unchanged(value: Json) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    with contextlib.suppress(WireError):
        decode_message(data)


@pytest.mark.parametrize("key", ['"a":1,"a":2', '"a":1,"\\u0061":2', '"x":{"b":1,"b":1}'])
def test_a_key_twice_is_refused_at_any_depth_and_in_any_spelling(key: str) -> None:
    with pytest.raises(WireError, match="same key twice"):
        decode(f"{{{key}}}".encode())


@pytest.mark.parametrize("depth", [64, 65])
def test_sixty_four_levels_pass_and_one_more_does_not(depth: int) -> None:
    data = b"[" * depth + b"]" * depth
    if depth == 64:
        decode(data)
    else:
        with pytest.raises(WireError, match="64 levels"):
            decode(data)


def test_a_byte_order_mark_is_named() -> None:
    with pytest.raises(WireError, match="byte order mark"):
        decode_message(b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}')


WIDE: dict[str, Callable[[int], str]] = {
    "numbers": lambda count: "[" + "0," * count + "0]",
    "texts": lambda count: "[" + '"",' * (count // 2) + "0]",
    "lists": lambda count: "[" + "[]," * (count // 3) + "0]",
    "keys": lambda count: "{" + ",".join(f'"{at}":0' for at in range(count // 2)) + "}",
}


@pytest.mark.parametrize("kind", WIDE)
def test_as_many_parts_pass_as_can_be_looked_at_in_a_moment_and_twice_as_many_do_not(kind: str) -> None:
    fit, much = (WIDE[kind](count).encode() for count in (MAX_PARTS - 100, 2 * MAX_PARTS))
    assert decode(fit) == json.loads(fit)
    with pytest.raises(WireError, match="send less at once"):
        decode(much)


def test_texts_beside_each_other_without_commas_are_counted_too() -> None:
    with pytest.raises(WireError, match="send less at once"):
        decode(b'""' * 2 * MAX_PARTS)


def test_a_long_text_is_one_part_whatever_it_holds() -> None:
    text = '[{"a",},' * 200_000
    assert decode(json.dumps(text).encode()) == text


def test_brackets_inside_strings_are_no_levels() -> None:
    assert decode(json.dumps(["[{" * 500, '\\"[' * 500]).encode()) == ["[{" * 500, '\\"[' * 500]


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "1" * 4000, "1e999", "-Infinity", "NaN"])
def test_numbers_that_others_would_read_differently_are_refused(number: str) -> None:
    with pytest.raises(WireError):
        decode(number.encode())


def test_a_surrogate_pair_is_text_and_a_lone_one_is_refused() -> None:
    assert decode(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
    for lone in (b'"\\ud83d"', b'{"\\ude00":1}', b'["a\\udc80"]'):
        with pytest.raises(WireError, match="surrogate"):
            decode(lone)


def test_what_is_refused_is_answered_with_the_id_where_it_can_be_read() -> None:
    with pytest.raises(WireError) as caught:
        decode_message(b'{"jsonrpc":"2.0","id":"a7","method":5}')
    assert caught.value.response()["id"] == "a7"


def test_only_lone_surrogates_are_escaped_on_the_way_out() -> None:
    value: Json = {"k\udc80": ["plain", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "x\ud800y"], "n": 1}
    assert sendable_json(value) == {
        "k\\udc80": ["plain", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "x\\ud800y"],
        "n": 1,
    }


@pytest.mark.parametrize("tail", [b'\\"', b"\\", b'"', b"a"])
def test_a_string_that_nothing_closes_is_refused_in_time_that_grows_with_its_length(tail: bytes) -> None:
    # Quadratic time would be hours.
    with pytest.raises(WireError):
        decode_message(b"[]" * 65 + b'"' + tail * 1_000_000)


def test_an_id_may_be_long_but_not_endless() -> None:
    def message(size: int) -> bytes:
        return b'{"jsonrpc": "2.0", "id": "%s", "method": "ping"}' % (b"i" * size)

    assert decode_message(message(MAX_ID))["id"] == "i" * MAX_ID
    with pytest.raises(WireError, match="an id has 1024 characters at most") as caught:
        decode_message(message(MAX_ID + 1))
    assert caught.value.response()["id"] is None


@pytest.mark.parametrize(
    "broken",
    [
        "123456789012345678901234567890",
        "NaN",
        "1e999",
        '"\\ud800"',
        '{"a":1,"a":2}',
        "[" * 65 + '"]\\"", {"id":9}' + "]" * 65,
        '{"id":' * 50_000 + '"{"' + "}" * 50_000,
    ],
)
@pytest.mark.parametrize("request_id", [7, "seven"])
def test_who_asks_with_a_value_that_is_refused_is_answered_under_their_id(broken: str, request_id: int | str) -> None:
    for message in (
        f'{{"jsonrpc":"2.0","id":{json.dumps(request_id)},"method":"tools/call","params":{{"id":3,"x":{broken}}}}}',
        f'{{"params":{{"x":{broken}}},"method":"tools/call","id":{json.dumps(request_id)}}}',
    ):
        with pytest.raises(WireError) as caught:
            decode_message(message.encode())
        assert caught.value.response()["id"] == request_id


@pytest.mark.parametrize(
    "message",
    [
        '{"id":1,"id":2,"method":"ping"}',
        '{"id":1,"method":"ping","\\u0069d":1}',
        '{"id":true,"method":"ping","x":NaN}',
        '{"id":1.5,"method":"ping","x":NaN}',
        '{"id":99999999999999999999,"method":"ping","x":NaN}',
        '{"id":"\\ud800","method":"ping"}',
        '{"id":"' + "a" * (MAX_ID + 1) + '","method":"ping","x":NaN}',
        '{"id":1,"result":{"x":NaN}}',
        '{"jsonrpc":"1.0","id":1,"result":{}}',
        '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}',
        '{"method":"ping","params":{"id":1,"x":NaN}}',
        '[["id",1],["method","ping"],NaN]',
        '{"id":1,"method":"ping","x":' + "[" * 65 + "]" * 64 + "}",
        '{"method":"ping","x":' + '{"id":1,"x":' * 65 + "0" + "}" * 66,
        '{"id":1,"method":"ping","x":' + "[" * 65 + "]" * 65 + ',"id":2}',
        "[" * 65 + '{"id":1,"method":"ping"}' + "]" * 65,
        '{"id":1,"method":"ping","x":' + "[" * MAX_SEARCHED + "]" * MAX_SEARCHED + "}",
        "{" + "]" * 9 + '"id":1,"method":"ping","x":' + "[" * 80 + "]" * 80 + "}",
        '{"id":1,"method":"ping"',
    ],
)
def test_no_id_is_guessed(message: str) -> None:
    with pytest.raises(WireError) as caught:
        decode_message(message.encode())
    assert caught.value.response()["id"] is None
