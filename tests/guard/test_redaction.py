"""What the process holds and what looks like a token never gets past the one choke point."""

from __future__ import annotations

import base64
import html
import json
import random
import string
import urllib.parse
from typing import Any

import pytest
from gatelodge_core.guard.hygiene import visible
from gatelodge_core.guard.redaction import MAX_DEPTH, Redactor
from gatelodge_core.guard.spans import Findings
from hypothesis import example, given
from hypothesis import strategies as st

_RANDOM = random.Random(4)
SECRETS = st.text(
    alphabet=string.ascii_letters + string.digits + "-_+/=:@!'\"\\&<> é€", min_size=6, max_size=40
).filter(lambda value: len(value.strip()) >= 6 and len(set(value)) > 3 and "redacted" not in value)
TREES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


def token() -> str:
    return "gh" + "p_" + "".join(_RANDOM.choice(string.ascii_letters + string.digits) for _ in range(36))


MASK = "[redacted: github token]"
HELD = "[redacted: held secret key]"


def test_a_secret_that_is_learned_later_is_masked_from_then_on_and_of_one_name_the_last_two_are() -> None:
    redactor = Redactor([("key", "first-secret")], shapes=False)
    said = "first-secret one-token two-token+ three-token"
    assert redactor.text(said)[0] == f"{HELD} one-token two-token+ three-token"
    for value in ("one-token", "two-token+", "three-token"):
        assert redactor.learn("token", value)
        assert not redactor.learn("token", value)
        assert not redactor.quiet(json.dumps(f"x {value} x"))
    mask = "[redacted: held secret token]"
    assert redactor.text(said)[0] == f"{HELD} one-token {mask} {mask}"
    assert redactor.text("two-token%2B")[0] == mask
    assert not redactor.learn("key", "first-secret")
    redactor.learn("short", "abc")
    assert redactor.too_short == ("short",)


@given(SECRETS, st.text(), st.text())
def test_a_held_secret_never_survives(secret: str, before: str, after: str) -> None:
    masked, found = Redactor([("key", secret)], shapes=False).text(before + secret + after)
    assert secret.strip() not in masked.replace(HELD, "\x00")
    assert found["held secret key"] >= 1


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5), st.booleans(), st.booleans())
def test_a_held_secret_in_base64_is_masked_at_any_alignment(
    secret: str, before: bytes, after: bytes, url_safe: bool, padded: bool
) -> None:
    data = before + secret.strip().encode() + after
    encoded = (base64.urlsafe_b64encode(data) if url_safe else base64.b64encode(data)).decode()
    masked, found = Redactor([("key", secret)], shapes=False).text(encoded if padded else encoded.rstrip("="))
    assert found
    # What is left of the secret is less than a character at either end.
    left = masked.split(HELD)
    assert len(left[0]) <= len(before) * 8 // 6 + 2
    assert len(left[-1]) <= len(after) * 8 // 6 + 4


@given(SECRETS, st.sampled_from(["", "/", ":@/", "!'()*", "-_.~"]), st.booleans(), st.booleans(), st.integers(0, 2))
def test_a_held_secret_in_a_url_is_masked(secret: str, safe: str, lower: bool, plus: bool, again: int) -> None:
    secret = secret.strip()
    encoded = urllib.parse.quote_plus(secret, safe=safe) if plus else urllib.parse.quote(secret, safe=safe)
    if lower:
        encoded = "".join(
            f"%{piece[:2].lower()}{piece[2:]}" if index else piece for index, piece in enumerate(encoded.split("%"))
        )
    for _ in range(again):
        encoded = encoded.replace("%", "%25")
    masked, _ = Redactor([("key", secret)], shapes=False).text(f"https://a.example/?q={encoded}&r=1")
    assert masked == f"https://a.example/?q={HELD}&r=1"


@given(SECRETS)
def test_a_held_secret_is_masked_in_each_way_of_writing_it(secret: str) -> None:
    secret = secret.strip()
    redactor = Redactor([("key", secret)], shapes=False)
    for form in (
        secret.encode().hex(),
        secret.encode().hex().upper(),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
    ):
        assert redactor.text(f" {form} ")[0] == f" {HELD} ", form


@given(
    SECRETS,
    st.lists(st.sampled_from(["\u200b", "\u2060", "\x1b[31m", "\U000e0041", "\u202e", "\x00"]), min_size=1, max_size=3),
)
def test_a_secret_with_hidden_characters_within_is_masked_before_and_after_they_are_shown(
    secret: str, hidden: list[str]
) -> None:
    secret = secret.strip()
    redactor = Redactor([("key", secret)])
    for whole, mask in ((secret, HELD), (token(), MASK)):
        for index, gap in enumerate(hidden, 1):
            split = whole[:index] + gap + whole[index:]
            assert redactor.text(f"a: {split}")[0] == f"a: {mask}"
            assert redactor.text(f"a: {visible(split)[0]}")[0] == f"a: {mask}"


def test_overlapping_occurrences_leave_nothing() -> None:
    assert Redactor([("key", "abcabc")]).text("xabcabcabcx")[0] == f"x{HELD}x"
    assert (
        Redactor([("a", "secret-one"), ("key", "one-secret")]).text("secret-one-secret")[0]
        == "[redacted: held secret a]"
    )


def test_a_held_secret_that_is_a_token_is_named_as_ours() -> None:
    held = token()
    assert Redactor([("key", held)]).text(f"{held} {token()}") == (
        f"{HELD} {MASK}",
        {"held secret key": 1, "github token": 1},
    )


def test_short_and_empty_values_are_named_and_not_searched() -> None:
    redactor = Redactor([("a", "abc"), ("b", ""), ("c", "  12345 \n"), ("d", "123456")])
    assert redactor.too_short == ("a", "b", "c")
    assert redactor.text("abc 12345 x")[0] == "abc 12345 x"


def test_white_space_around_a_held_value_does_not_matter() -> None:
    assert Redactor([("key", " the-value\n")]).text("x the-value y")[0] == f"x {HELD} y"


def test_the_lines_of_a_held_key_and_the_password_of_a_held_address_are_held_too() -> None:
    lines = ["".join(_RANDOM.choice(string.ascii_letters) for _ in range(64)) for _ in range(3)]
    key = "\n".join(["-----BEGIN PRIVATE" + " KEY-----", *lines, "-----END PRIVATE" + " KEY-----"])
    assert Redactor([("key", key)]).text(f"12: {lines[1]}")[0] == f"12: {HELD}"
    redactor = Redactor([("key", "postgres://u:" + "hunter%402" + "@h/db")])
    assert redactor.text("failed for hunter%402 or hunter@2")[0] == f"failed for {HELD} or {HELD}"


def test_twenty_held_secrets_are_told_apart() -> None:
    secrets = {f"s{index}": f"value-{index:02d}-{token()[4:]}" for index in range(20)}
    redactor = Redactor(secrets.items())
    for name, value in secrets.items():
        assert redactor.text(f"<{value}>")[0] == f"<[redacted: held secret {name}]>"


def test_text_without_findings_is_the_same_object() -> None:
    text = "nothing here " * 100
    masked, found = Redactor([("key", "the-value")], pii="mask").text(text)
    assert masked is text
    assert not found
    assert len(found) == 0


@given(TREES)
def test_a_tree_without_findings_is_the_same_object(tree: Any) -> None:
    masked, found = Redactor([("key", "the-held-value")]).value(tree)
    assert masked is tree
    assert not found


@given(TREES, st.data())
def test_a_token_planted_anywhere_in_a_tree_is_masked(tree: Any, data: st.DataObject) -> None:
    secret = token()
    holder: Any = data.draw(
        st.sampled_from([{"a": secret}, {secret: 1}, [secret], [[{"x": [f"b {secret} c"]}]], secret])
    )
    planted = [tree, {"in": holder}, tree]
    masked, found = Redactor().value(planted)
    text = json.dumps(masked)
    assert secret not in text
    assert json.loads(text.replace(MASK, secret)) == planted
    assert found == {"github token": 1}
    assert masked[0] is tree


def test_keys_that_look_the_same_once_masked_lose_no_entry() -> None:
    tree = {token(): 1, token(): 2, token(): 3, "x": 4}
    assert Redactor().value(tree)[0] == {MASK: 1, f"{MASK} (2)": 2, f"{MASK} (3)": 3, "x": 4}


def test_a_key_says_what_its_value_is() -> None:
    value = "".join(_RANDOM.choice(string.ascii_letters + "/+") for _ in range(40))
    assert Redactor().value({"aws_secret_access_key": value})[0] == {
        "aws_secret_access_key": "[redacted: aws secret key]"
    }
    assert Redactor().value({"other": value})[1] == {}


def test_a_private_key_as_a_list_of_lines_is_masked() -> None:
    body = ["".join(_RANDOM.choice(string.ascii_letters) for _ in range(64)) for _ in range(5)]
    lines = ["before", "-----BEGIN RSA" + " PRIVATE KEY-----", *body, "-----END RSA" + " PRIVATE KEY-----", "after"]
    masked, _ = Redactor().value({"lines": [{"text": line} for line in lines]})
    assert masked["lines"][0] == {"text": "before"}
    assert masked["lines"][-1] == {"text": "after"}
    assert not any(line in json.dumps(masked) for line in body)


def test_a_held_number_is_masked_as_a_number_too() -> None:
    redactor = Redactor([("key", "73914682")])
    assert redactor.value({"pin": 73914682, "n": 7, "t": True}) == (
        {"pin": HELD, "n": 7, "t": True},
        {"held secret key": 1},
    )


def test_what_is_nested_too_deep_is_replaced_and_counted() -> None:
    tree: Any = token()
    for _ in range(MAX_DEPTH + 50):
        tree = [tree]
    masked, found = Redactor().value(tree)
    assert found == {"nested too deep": 1}
    assert "redacted: nested too deep" in json.dumps(masked)


@given(st.text(), st.lists(st.integers(0, 3), max_size=5))
@example("jane@example.org", [0, 1])
def test_redacting_twice_finds_nothing_more(text: str, places: list[int]) -> None:
    for place in places:
        text = text[:place] + f" {token()} " + text[place:]
    redactor = Redactor([("key", "the-held-value")], pii="mask")
    masked, _ = redactor.text(text)
    assert redactor.text(masked) == (masked, {})


def test_findings_are_counted_and_added() -> None:
    _, first = Redactor().text(f"{token()} {token()}")
    assert first == {"github token": 2}
    assert first + Findings({"jwt": 1, "github token": 1}) == {"github token": 3, "jwt": 1}
    assert not Findings()


def test_shapes_can_be_left_out() -> None:
    text = token()
    assert Redactor(shapes=False).text(text) == (text, {})


@pytest.mark.parametrize("size", [300_000, 3_000_000])
def test_large_texts_are_searched_to_the_end(size: int) -> None:
    filler = "the quick brown fox; " * (size // 21)
    masked, found = Redactor([("key", "the-held-value")]).text(f"{filler}{token()} the-held-value")
    assert masked == f"{filler}{MASK} {HELD}"
    assert sum(found.values()) == 2
