"""No secret leaves in a write, however it is written down; and what only looks odd may go."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import random
import string
import sysconfig
import urllib.parse
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_core.guard import shapes
from gatelodge_core.guard.redaction import MAX_DEPTH
from gatelodge_github.outbound import HELD, TOO_DEEP, Finding, refuse, secrets_in
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.planted import ALNUM, B64, KIND_NAMES, SURROUNDINGS, URL, armour, b64url, planted, some

ROOT = Path(__file__).parents[2]
RANDOM = random.Random(11)
LINES = 76


def token() -> str:
    return "gh" + "p_" + some(ALNUM, 36)


def wrapped(text: str, width: int = LINES) -> str:
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


def b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def wide(text: str) -> str:
    """In full-width forms, which NFKC takes for the same."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def mathematical(text: str) -> str:
    def one(char: str) -> str:
        if char in string.ascii_lowercase:
            return chr(0x1D41A + ord(char) - ord("a"))
        return chr(0x1D400 + ord(char) - ord("A")) if char in string.ascii_uppercase else char

    return "".join(map(one, text))


Encoder = Callable[[str], str]
ENCODINGS: dict[str, Encoder] = {
    "plain": str,
    "base64": b64,
    "base64 without padding": lambda text: b64(text).rstrip("="),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: wrapped(b64(text)),
    "base64 in short lines, indented": lambda text: wrapped(b64(text), 40).replace("\n", "\r\n    "),
    "base64 in quoted lines": lambda text: wrapped(b64(text), 64).replace("\n", '" +\n  "'),
    "base64 in escaped lines": lambda text: wrapped(b64(text), 64).replace("\n", "\\n"),
    "base64 with escaped slashes": lambda text: b64(text).replace("/", "\\/"),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    "base64 behind other letters": lambda text: "Q" * RANDOM.randrange(1, 4) + b64(text),
    "base64 of base64": lambda text: b64(b64(text)),
    "base64, thrice": lambda text: b64(b64(b64(text))),
    "hexadecimal": lambda text: text.encode().hex(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper(),
    "hexadecimal with a prefix": lambda text: "0x" + text.encode().hex(),
    "hexadecimal, odd": lambda text: "7" + text.encode().hex(),
    "hexadecimal in lines": lambda text: wrapped(text.encode().hex(), 32),
    "percent, all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent, twice": lambda text: "".join(f"%25{byte:02x}" for byte in text.encode()),
    "percent, some": lambda text: urllib.parse.quote(text, safe="").replace("_", "%5F").replace("-", "%2d"),
    "entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "entities, hexadecimal": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "entities, by name": lambda text: html.escape(text).replace("_", "&lowbar;").replace(".", "&period;"),
    "escapes of JSON": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "escapes of JavaScript": lambda text: "".join(f"\\u{{{ord(char):x}}}" for char in text),
    "escapes of C": lambda text: "".join(f"\\x{ord(char):02x}" for char in text),
    "escapes, octal": lambda text: "".join(f"\\{ord(char):03o}" for char in text),
    "escaped escapes": lambda text: "".join(f"\\\\u{ord(char):04x}" for char in text),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": [text]})),
    "full-width": wide,
    "mathematical": mathematical,
    "mathematical, in JSON": lambda text: json.dumps(mathematical(text)),
    "base64 of full-width": lambda text: b64(wide(text)),
    "zero-width characters": "\u200b".join,
    "tags between": "\U000e0041".join,
    "escape sequences between": "\x1b[0m".join,
    "accents": lambda text: "".join(char + "\u0301" for char in text),
    "halves in program code": lambda text: f'x = "{text[: len(text) // 2]}" + "{text[len(text) // 2 :]}";',
    "halves below each other": lambda text: f'x = ("{text[: len(text) // 2]}"\n     "{text[len(text) // 2 :]}")',
    "percent in base64": lambda text: b64(urllib.parse.quote(text, safe="").replace("_", "%5F")),
    "base64 in percent in JSON": lambda text: json.dumps(urllib.parse.quote(b64(text), safe="")),
    "hexadecimal of base64": lambda text: b64(text).encode().hex(),
    "entities of base64": lambda text: "".join(f"&#{ord(char)};" for char in b64(text)),
}
LINELESS = [name for name in KIND_NAMES if "\n" not in planted(name)[2]]
"""Of a key that stands in lines nothing is left once its line ends are encoded on their own."""


@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("name", KIND_NAMES)
def test_every_kind_is_found_where_the_redactor_finds_it(name: str, around: str) -> None:
    kind, _, text = planted(name)
    filler = "Some words before it, and a_long_identifier_too.\n" * 40
    for body in (around.format(text), filler + around.format(text) + "\n" + filler):
        assert {found for _, _, found in shapes.find(body)} == {kind}
        assert secrets_in({"body": body}) == [Finding("body", kind)]


@pytest.mark.parametrize("name", LINELESS)
def test_every_kind_is_found_in_every_encoding(name: str) -> None:
    kind, secret, text = planted(name)
    missed: list[str] = []
    for encoding, encode in ENCODINGS.items():
        if "halves" in encoding and text != secret:
            # Half a connection string is found only if the password is whole.
            continue
        inner = f"x {text} y" if "base64" in encoding else text
        if kind not in {finding.kind for finding in secrets_in({"body": f"See this:\n{encode(inner)}\n"})}:
            missed.append(encoding)
    assert missed == []


@pytest.mark.parametrize("name", [name for name in KIND_NAMES if name not in LINELESS])
def test_a_private_key_is_found_encoded(name: str) -> None:
    kind, _, text = planted(name)
    for encoding, encode in ENCODINGS.items():
        if "base64" in encoding or "hexa" in encoding.lower():
            assert secrets_in({"body": encode(text)}) == [Finding("body", kind)], encoding


CHAIN = st.lists(st.sampled_from(["base64", "base64url", "base64 without padding", "hexadecimal", "percent, all", "entities",
    "escapes of JSON", "base64 in lines", "full-width"]), min_size=1, max_size=3)  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(LINELESS), CHAIN, st.text(max_size=12), st.text(max_size=12))
@example("GitHub personal", ["base64", "base64", "base64"], "", "")
@example("AWS key id", ["percent, all", "base64 in lines", "base64 in lines"], "", "")
@example("GitHub personal", ["full-width", "base64", "percent, all"], "é", "\0")
def test_no_chain_of_three_encodings_hides_a_token(name: str, chain: list[str], before: str, after: str) -> None:
    kind, _, text = planted(name)
    for encoding in chain:
        text = ENCODINGS[encoding](text)
    assert kind in {finding.kind for finding in secrets_in({"body": f"{before}\n{text}\n{after}"})}


SPREADS: dict[str, Encoder] = {
    **ENCODINGS,
    "upper case": str.upper,
    "other case": str.swapcase,
    "reversed": lambda text: text[::-1],
    "spaces": " ".join,
    "dashes": "-".join,
    "lines": "\n".join,
    "commas": ", ".join,
    "full stops": "...".join,
    "a list": lambda text: '", "'.join([text[:9], text[9:20], text[20:]]),
    "reversed in base64": lambda text: b64(text[::-1]),
    "base64 with spaces": lambda text: " ".join(b64(text)),
    "hexadecimal with spaces": lambda text: text.encode().hex(" "),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "reversed, in lower case, with dashes": lambda text: "-".join(text[::-1]).lower(),
}


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
@pytest.mark.parametrize("around", ["{}", "The key:\n{}\nis it.", "a={}&b=1"])
def test_a_held_secret_is_found_however_it_is_spread(spread: Encoder, around: str) -> None:
    secret = "Zq" + some(URL, 30)
    assert Finding("body", HELD) in secrets_in({"body": around.format(spread(secret))}, [secret])
    assert secrets_in({"body": around.format(spread("Zq" + some(URL, 30)))}, [secret]) == []


@settings(deadline=None)
@given(
    st.text(alphabet=ALNUM + "-_+/=:@! ü", min_size=6, max_size=40).filter(lambda text: len(text.strip()) >= 6),
    st.text(max_size=20),
)
def test_a_held_secret_is_found_as_it_is(secret: str, around: str) -> None:
    assert secrets_in({"body": f"{around} {secret} {around}"}, [secret])


def test_held_secrets_that_are_too_short_or_empty_are_not_looked_for() -> None:
    assert secrets_in({"body": "a word, and nothing"}, ["", "word", " \n"]) == []


def test_of_a_held_connection_string_the_password_alone_is_found() -> None:
    held = "postgresql://app:correct-horse-7@db.internal/shop"
    assert secrets_in({"body": "try correct-horse-7"}, [held]) == [Finding("body", HELD)]


# Split over arguments


@settings(deadline=None)
@given(
    st.sampled_from(["GitHub personal", "GitHub fine-grained", "AWS key id", "Slack bot", "npm", "Stripe live", "JWT"]),
    st.data(),
)
def test_a_token_split_over_neighbours_is_found(name: str, data: st.DataObject) -> None:
    kind, _, text = planted(name)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), min_size=1, max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    after = data.draw(st.sampled_from(["", "next", "_", "7"]))
    texts = ["Before: ", *pieces, *([after] if after else [])]
    for arguments in (
        {"labels": texts},
        {"comments": [{"path": "src/a.py", "line": 3, "body": piece} for piece in texts]},
        {f"p{index}": piece for index, piece in enumerate(texts)},
        {"inputs": {f"k{index}": piece for index, piece in enumerate(texts)}},
    ):
        found = secrets_in(arguments)
        # A few characters less may be a token as well, if its kind has no fixed length.
        assert kind in {finding.kind for finding in found}


@pytest.mark.parametrize("encode", [ENCODINGS[name] for name in ("base64", "hexadecimal", "zero-width characters")])
def test_an_encoded_token_split_over_two_comments_is_found(encode: Encoder) -> None:
    text = encode(token())
    comments = [{"body": text[:25]}, {"body": text[25:]}]
    assert secrets_in({"comments": comments}) == [Finding("comments[0].body + comments[1].body", "github token")]


def test_a_key_and_its_value_together_are_searched() -> None:
    text = token()
    assert secrets_in({"inputs": {text[:20]: text[20:]}}) == [
        Finding("a key of inputs + inputs.<key 1>", "github token")
    ]
    found = secrets_in({"inputs": {"x": {"aws_secret_access_key": some(B64, 39) + "a"}}})
    assert {finding.kind for finding in found} <= {"aws secret key"}


def test_a_held_secret_in_many_pieces_is_found() -> None:
    secret = some(ALNUM, 40)
    pieces = [secret[at : at + 2] for at in range(0, 40, 2)]
    filler = "words that stand before and behind it, " * 40
    found = secrets_in({"comments": [{"body": piece} for piece in [filler, *pieces, filler]]}, [secret])
    assert [finding.kind for finding in found] == [HELD]


def test_what_one_argument_holds_alone_is_reported_once() -> None:
    found = secrets_in({"title": "a", "body": "x " + token(), "labels": ["b", "c"]})
    assert found == [Finding("body", "github token")]


def test_secrets_in_names_and_deep_within_are_found() -> None:
    deep: Any = token()
    for level in range(30):
        deep = [deep] if level % 2 else {"a": deep}
    assert [finding.kind for finding in secrets_in({"value": deep})] == ["github token"]
    assert secrets_in({"inputs": {token(): 1}}) == [Finding("a key of inputs", "github token")]


def test_what_is_nested_too_deep_to_be_searched_is_refused() -> None:
    deep: Any = token()
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    found = secrets_in({"value": deep})
    assert [finding.kind for finding in found] == [TOO_DEEP]
    assert found[0].path.startswith("value[0][0]")


# Files


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("width", [0, 60, 76])
def test_a_file_that_comes_in_base64_is_searched(codec: str, width: int) -> None:
    data = f"# Überschrift\n\ntoken = {token()}\n".encode(codec)
    content = base64.b64encode(data).decode()
    files = [
        {"path": "a", "content": "x"},
        {"path": "b", "content": wrapped(content, width or 10**6), "encoding": "base64"},
    ]
    assert secrets_in({"files": files}) == [Finding("files[1].content", "github token")]


def test_a_binary_file_is_searched_and_three_encodings_within_it() -> None:
    noise = random.Random(1).randbytes(200_000)
    assert secrets_in({"content": base64.b64encode(noise).decode(), "encoding": "base64"}) == []
    for inner in (token(), b64(b64(b64(token())))):
        data = noise[:100_001] + b"\0" + inner.encode() + b"\0" + noise[100_001:]
        found = secrets_in({"content": base64.b64encode(data).decode(), "encoding": "base64"})
        assert found == [Finding("content", "github token")]


def test_a_file_that_only_claims_to_be_base64_is_searched_as_it_is() -> None:
    assert secrets_in({"content": f"not base64: {token()}", "encoding": "base64"}) == [
        Finding("content", "github token")
    ]


# Refusing


def test_a_write_with_a_secret_is_refused_without_telling_it() -> None:
    secret, held = token(), "held-" + some(ALNUM, 20)
    arguments = {"files": [{"path": "a.txt", "content": f"x {secret}"}], "body": held, "inputs": {secret: held}}
    with pytest.raises(CallError) as caught:
        refuse(arguments, [held])
    error = caught.value
    assert error.code == "secret_in_text"
    assert error.message.startswith(
        "files[0].content holds what looks like a github token. There are 3 more such places."
    )
    for part in (secret[4:14], secret[-10:], held[5:15], held[-10:]):
        assert part not in str(error)
    refuse({"body": "Nothing in it."}, [held])


def test_of_an_aws_key_it_says_an() -> None:
    with pytest.raises(CallError, match=r"body holds what looks like an aws access key\. Nothing was sent\."):
        refuse({"body": planted("AWS key id")[2]})


@settings(deadline=None)
@given(st.integers(1, 39), st.sampled_from(["names", "name and value", "nested names"]))
def test_no_path_shows_a_part_of_a_secret(cut: int, how: str) -> None:
    secret = "gh" + "p_" + some(string.ascii_lowercase, 35) + "7"
    head, tail = secret[:cut], secret[cut:]
    held = some(string.ascii_lowercase, 14)
    values: dict[str, Any] = {
        "names": {"inputs": {head: "x", tail: "y", held: "z"}},
        "name and value": {"inputs": {head: tail, "held": held}},
        "nested names": {"inputs": {held: {head: {tail: held}}}},
    }[how]
    for finding in secrets_in(values, [held]):
        assert held not in finding.path
        for piece in (head, tail):
            assert len(piece) <= 20 or piece not in finding.path


# What may go


def package_lock() -> str:
    digests = [base64.b64encode(hashlib.sha512(str(index).encode()).digest()).decode() for index in range(500)]
    packages = {
        f"node_modules/p{index}": {"version": "1.2.3", "integrity": f"sha512-{digest}"}
        for index, digest in enumerate(digests)
    }
    return json.dumps({"lockfileVersion": 3, "packages": packages}, indent=2)


def png() -> bytes:
    pixels = random.Random(5).randbytes(60_000)
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + zlib.compress(pixels) + b"tEXtSoftware\0An image program, version 2.10\0IEND"
    )


def source_map() -> str:
    letters = random.Random(6).choices(B64[:-2] + ",;", k=40_000)
    sources = [path.read_text() for path in sorted((ROOT / "shared/src/gatelodge_core").glob("*.py"))]
    return json.dumps(
        {"version": 3, "sources": ["../src/a.ts"], "sourcesContent": sources, "mappings": "".join(letters)}
    )


HARMLESS: dict[str, Callable[[], str]] = {
    "git shas": lambda: "\n".join(hashlib.sha1(str(index).encode()).hexdigest() for index in range(3000)),
    "sha256 digests": lambda: "\n".join("sha256:" + hashlib.sha256(str(index).encode()).hexdigest() for index in range(3000)),
    "UUIDs": lambda: "\n".join(str(uuid.UUID(int=RANDOM.getrandbits(128))) for _ in range(3000)),
    "requirements.lock": (ROOT / "requirements.lock").read_text,
    "package-lock.json": package_lock,
    "placeholders": lambda: "\n".join([
        "export GITHUB_TOKEN=ghp_" + "x" * 36, "ghp_" + "X" * 36, "ghp_...", "github_pat_<your token>", "ghp_" + "PersonalAccessToken01245678900000000",
        "AKIAIOSFODNN7" + "EXAMPLE", "sk_live_" + "x" * 24, "xoxb-your-token-here", "postgres://user:password@db/x", "https://${USER}:${PASS}@host",
        "postgres://postgres:postgres@db:5432/app", "redis://:hunter2@localhost:6379", "https://me:pw@example.com/x", "amqp://a:b@127.0.0.1",
    ]),
    "source map": source_map,
    "PNG as a data URL": lambda: f'<img src="data:image/png;base64,{base64.b64encode(png()).decode()}">',
    "base64 in lines": lambda: wrapped(base64.b64encode(png()).decode()),
    "SSH public keys": lambda: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(B64, 43)} me@host\nssh-rsa AAAAB3NzaC1yc2E{some(B64, 360)}= me@host",
    "certificate": lambda: armour("CERTIFICATE"),
    "unsigned JSON in base64": lambda: ".".join([b64url({"version": 3}), b64url({"a": 1}), some(URL, 43)]),
    "diff": lambda: "\n".join(f"index {some('0123456789abcdef', 7)}..{some('0123456789abcdef', 7)} 100644\n+ghp = token[{n}]" for n in range(500)),
    "hex dump": lambda: random.Random(8).randbytes(20_000).hex(" ", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_text_without_secrets_may_go(name: str) -> None:
    text = HARMLESS[name]()
    known = [token(), some(ALNUM, 16)]
    assert secrets_in({"body": text}, known) == []
    assert secrets_in({"comments": [{"body": line} for line in text.splitlines()[:300]]}, known) == []
    assert secrets_in({"content": b64(text), "encoding": "base64"}, known) == []


def test_real_minified_javascript_and_binaries_may_go() -> None:
    folder = Path(sysconfig.get_path("purelib"))
    files = [*folder.rglob("*.min.js"), *folder.rglob("*.png"), *sorted(folder.rglob("*.so"))[:3]]
    for path in files:
        data = path.read_bytes()[:2_000_000]
        assert secrets_in({"content": base64.b64encode(data).decode(), "encoding": "base64"}, [token()]) == [], path
    assert files


def test_a_corpus_of_clean_texts_raises_no_false_alarm() -> None:
    stdlib = Path(sysconfig.get_path("stdlib"))
    licences = Path(sysconfig.get_path("purelib")).glob("*.dist-info/**/*LICEN[SC]E*")
    paths = [
        *sorted(stdlib.glob("*.py")),
        *sorted(stdlib.glob("[a-s]*/*.py")),
        *(ROOT / "docs").rglob("*.md"),
        *licences,
    ]
    paths += (ROOT / "servers").rglob("*.py")
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.is_file() and "site-packages/pip" not in str(path)
    }
    known = [token(), some(ALNUM, 20)]
    alarms = [
        (path.name, finding.kind) for path, text in texts.items() for finding in secrets_in({"content": text}, known)
    ]
    assert len(texts) > 500
    assert sum(map(len, texts.values())) > 5_000_000
    assert alarms == []


# Bounds


@pytest.mark.parametrize(
    "piece",
    ["%41", "%2541", "&#65;", "&amp;", "\\u0041", "\\\\u", "\\\n", "A\n", "Aaaaaaaaaaaaaaaaaaaaaaaaaa\n", '"a" + ', "'", "ghp_", "PRIVATE KEY", "-----BEGIN PRIVATE" + " KEY-----\n",
     "://", "://a:", "wd=", "0a", "QUFB", "Z2hwX2Fh", "⟦", "\u200b", "a\u0301", "\uff41", "\x1b[", "\0", "=", "eyJ", " "],
    ids=repr,
)  # fmt: skip
def test_no_text_takes_more_than_linear_steps(piece: str) -> None:
    # With quadratic steps it would take hours, and the time limit of the test run would end this.
    secrets_in({"body": piece * (400_000 // len(piece))}, [token(), "p%ssw rd+1"])


@pytest.mark.parametrize("piece", ["a", "gh", "x" * 300, " "])
def test_many_small_texts_take_no_more_than_linear_steps(piece: str) -> None:
    texts = [piece] * 10_000
    assert secrets_in({"labels": texts}, [token()]) == []
    half = token()
    assert secrets_in({"labels": [*texts, half[:11], half[11:] + " "]}, [half])


_BODY = "Ab3dE6gH9jK2" * 5
GLUED = {
    "github token": "ghp_" + _BODY[:36],
    "github fine-grained token": f"github_pat_{_BODY[:22]}_{_BODY[:59]}",
    "anthropic key": "sk-ant-api03-" + _BODY,
    "npm token": "npm_" + _BODY[:36],
}


@pytest.mark.parametrize(
    ("name", "around"),
    [(name, around) for name in GLUED for around in ("x{}", "_{}", "0{}", "TOKEN_{}")]
    # Of others the end is a part of how they look.
    + [
        (name, around)
        for name in ("github token", "github fine-grained token")
        for around in ("{}_x", "x{}_", "aa{}bb")
    ],
)
def test_a_token_glued_into_a_word_is_found(name: str, around: str) -> None:
    assert secrets_in({"body": f"see {around.format(GLUED[name])} there"})
