"""Every known kind of token is found, and what only looks like one is left alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gatelodge_core.audit.canonical import canonical
from gatelodge_core.guard import shapes
from gatelodge_core.guard.redaction import Redactor
from hypothesis import given
from hypothesis import strategies as st

from tests.support.planted import (
    ALNUM,
    B64,
    KIND_NAMES,
    KINDS,
    RANDOM,
    SURROUNDINGS,
    UPPER,
    URL,
    armour,
    b64url,
    digits,
    planted,
    some,
)


@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_planted_secret_is_masked_under_its_name(name: str, around: str) -> None:
    kind, secret, text = planted(name)
    masked, found = Redactor().text(around.format(text))
    assert secret not in masked
    assert f"[redacted: {kind}]" in masked
    assert found.get(kind) == 1


@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("name", KIND_NAMES)
def test_the_quick_look_at_json_sees_what_the_search_would_find(name: str, around: str) -> None:
    _, _, text = planted(name)
    form = canonical({"content": [{"type": "text", "text": around.format(text)}]}).decode()
    assert shapes.may_have(form)
    assert not Redactor().quiet(form)


def test_there_are_at_least_forty_kinds_of_secrets() -> None:
    assert len({kind for kind, _ in KINDS.values()}) >= 40
    assert {shape.name for shape in shapes.SHAPES} - {kind for kind, _ in KINDS.values()} == {
        "slack webhook",
        "discord webhook",
    }


def test_of_a_webhook_the_secret_part_of_the_address_is_masked() -> None:
    secret = f"T{some(UPPER, 9)}/B{some(UPPER, 9)}/{some(ALNUM, 24)}"
    text = "curl https://hooks.slack.com/" + "services/" + secret
    assert Redactor().text(text)[0] == "curl https://hooks.slack.com/services/[redacted: slack webhook]"
    text = "https://discord.com/api/webhooks/" + digits(18) + "/"
    assert Redactor().text(text + some(URL, 68))[0] == text + "[redacted: discord webhook]"


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("mysql://root:{}@127.0.0.1/x", "hunter2"),
        ("mongodb+srv://u:{}@c0.example.net/?retryWrites=true", "p%40ss%2Fword"),
        ("redis://:{}@cache:6379/0", "s3cr3t!"),
        ("amqp://u:{}@mq:5672/%2F", "a:b:c"),
        ("postgres://u:{}@[::1]/db", "p@ss@word"),
        ("https://deploy:{}@git.example.com/x.git", "abc"),
        ("postgresql+asyncpg://u:{}@h1:5432,h2:5432/db", "q#w?e"),
        ("jdbc:postgresql://h/db?user=u&password={}&ssl=true", "hunter2"),
        ("user=u password='{}' host=/run/postgresql", "two words"),
        ("Server=tcp:h,1433;Database=d;User Id=u;Password={};", "P4ss-word"),
        ("Driver={{ODBC}};Server=h;Uid=u;Pwd={};", "P4ss-word"),
        ("PGPASSWORD={} psql -h db", "hunter2"),
        ("'dsn': 'dbname=test user=me password={}'", "hunter2"),
    ],
)
def test_of_a_connection_string_the_password_alone_is_masked(text: str, password: str) -> None:
    masked, found = Redactor().text(text.format(password))
    kind = next(iter(found))
    assert kind in {"url password", "connection string password"}
    assert masked == text.format(f"[redacted: {kind}]")
    assert Redactor().text(masked) == (masked, {})


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password@localhost/db",
        "postgres://${USER}:${PASSWORD}@host/db",
        "postgres://u:<password>@host",
        "https://{user}:{password}@host",
        "https://u:***@host",
        "https://u:%s@host",
        "http://localhost:8080/a@b",
        "http://h:80?mail=a@b.c",
        "ssh://git@github.com:22/x",
        "connect(host='h', password='secret')",
        "<input name=password value=x>",
        "password=hunter2",
        "https://a.example/?next=/login",
    ],
)
def test_templates_and_plain_addresses_are_no_passwords(text: str) -> None:
    assert shapes.find(text) == []


def pem(kind: str = "RSA " + "PRIVATE KEY") -> list[str]:
    return armour(kind).splitlines()


@pytest.mark.parametrize(
    "joiner", ["\n", "\r\n", "\\n", "\\r\\n", "\n    ", "\n> ", "\n+", '\\n"\n  "', "\\n' +\n'", "\n\n", " "], ids=repr
)
def test_a_private_key_is_masked_however_its_lines_are_joined(joiner: str) -> None:
    lines = pem()
    masked, _ = Redactor().text(f"a {joiner.join(lines)} b")
    assert masked == "a [redacted: private key] b"


@pytest.mark.parametrize("joiner", ["\n", "\\n", "\n    ", "\n+", "\n 12\t"], ids=repr)
@pytest.mark.parametrize("kept", [2, 5, 20])
def test_a_private_key_that_is_cut_off_is_masked(kept: int, joiner: str) -> None:
    lines = pem()[: kept + 1]
    masked, found = Redactor().text("a " + joiner.join(lines))
    assert not [line for line in lines[1:] if line in masked]
    assert found == {"private key": 1}


def test_a_private_key_that_is_cut_within_a_line_is_masked() -> None:
    text = "\n".join(pem())
    for size in range(120, len(text) - 40, 7):
        masked, _ = Redactor().text(text[:size])
        assert masked == "[redacted: private key]", size


def test_a_key_with_headers_is_masked_and_what_follows_a_cut_key_is_not() -> None:
    lines = pem()
    lines[1:1] = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0123456789ABCDEF", ""]
    cut = "\n".join(lines[:12]) + "\n\nThe rest of the file is text.\n"
    masked, _ = Redactor().text(cut)
    assert masked.startswith("[redacted: private key]")
    assert masked.endswith("The rest of the file is text.\n")


def test_what_names_a_key_without_having_one_stays() -> None:
    marker = "-----BEGIN RSA " + "PRIVATE KEY-----"
    code = f'if text.startswith("{marker}") and text.endswith("{marker.replace("BEGIN", "END")}"):\n    load(text)\n'
    assert shapes.find(code) == []
    assert shapes.find(f"Look for `{marker}` in the file.") == []


def fake_minified() -> str:
    words = ["function", "return", "prototype", "skLive", "key", "hvs", "value", "secret_", "xoxo", "eyJ", "AIza"]
    pieces = [
        f"{RANDOM.choice(words)}{RANDOM.choice('.=(),;:!?')}{some(string.ascii_letters, RANDOM.randint(1, 3))}"
        for _ in range(20000)
    ]
    return "".join(pieces) + "".join(f'u="data:font/woff2;base64,{some(B64, 4000)}";' for _ in range(5))


def lock_file() -> str:
    def digest(index: int) -> str:
        return base64.b64encode(hashlib.sha512(str(index).encode()).digest()).decode()

    return json.dumps({
        f"node_modules/p{index}": {
            "version": f"1.2.{index}",
            "resolved": f"https://registry.example/p{index}/-/p{index}-1.2.{index}.tgz",
            "integrity": f"sha512-{digest(index)}",
        }
        for index in range(1000)
    })  # fmt: skip


HARMLESS: dict[str, Callable[[], str]] = {
    "git shas": lambda: "\n".join(hashlib.sha1(str(index).encode()).hexdigest() for index in range(5000)),
    "sha256 digests": lambda: "\n".join(
        "sha256:" + hashlib.sha256(str(index).encode()).hexdigest() for index in range(5000)
    ),
    "UUIDs": lambda: "\n".join(str(uuid.UUID(int=RANDOM.getrandbits(128))) for _ in range(5000)),
    "package lock": lock_file,
    "requirements lock": (Path(__file__).parents[2] / "requirements.lock").read_text,
    "minified JavaScript": fake_minified,
    "SSH public keys": lambda: "\n".join(f"ssh-rsa AAAAB3NzaC1yc2E{some(B64, 360)}= me@host" for _ in range(50)),
    "certificates": lambda: "\n".join(armour("CERTIFICATE") for _ in range(20)),
    "public keys": lambda: armour("PUBLIC KEY") + armour("PGP PUBLIC KEY BLOCK") + armour("PGP SIGNATURE"),
    "base64 blobs": lambda: "\n".join(some(B64, 76) for _ in range(5000)),
    "placeholders": lambda: " ".join(["gh" + "p_" + "x" * 36, "sk_" + "live_" + "X" * 24, "AKIAIOSFODNN7" + "EXAMPLE"]),
    "identifiers": lambda: "myghp_" + some(ALNUM, 36) + " glpat-some-long-css-class-name secret_" + "a_name_" * 6,
    "JSON in base64": lambda: ".".join([b64url({"version": 3, "sources": []}), b64url({"a": 1}), some(URL, 43)]),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_text_without_secrets_is_left_alone(name: str) -> None:
    text = HARMLESS[name]()
    assert [(kind, text[start:end]) for start, end, kind in shapes.find(text)] == []


def test_real_minified_javascript_is_left_alone() -> None:
    files = list(Path(sysconfig.get_path("purelib")).rglob("*.min.js"))
    for path in files:
        assert shapes.find(path.read_text(encoding="utf-8", errors="replace")) == [], path
    assert files


def test_the_standard_library_is_left_alone() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    found: set[tuple[str, str]] = set()
    scanned = 0
    for path in folder.rglob("*.py"):
        if "site-packages" in path.parts:
            continue
        scanned += 1
        text = path.read_text(encoding="utf-8", errors="replace")
        found |= {(path.name, text[start:end]) for start, end, _ in shapes.find(text)}
    assert scanned > 500
    # The one password in a URL that its own tests hold.
    assert found <= {("test_urllib2net.py", "thing")}


@pytest.mark.parametrize(
    "piece",
    ["eyJ", "eyJ.", "ghp_", "\\nghp_", "://a:", "://", "@", "SK", "M", "MT.", "-----BEGIN PRIVATE" + " KEY-----\n", "A" * 64 + "\n", "password=", "host=", "pwd=Q1 ", "?pwd=Q1&", "pwd=Q1,", "myhost=", "\u200b", "\u200bpwd=Q1 ", "hvs.", ":AA", "Q~", "a8Q~", "T3BlbkFJ", "xoxb-1", "-----END", "\x1b[", "⟦"],
    ids=repr,
)  # fmt: skip
def test_no_text_takes_more_than_linear_steps(piece: str) -> None:
    # With quadratic steps a million characters would take hours, and the time limit of the test run would end this.
    Redactor().text(piece * (1_000_000 // len(piece)))
    Redactor().text(("-----BEGIN PRIVATE" + " KEY-----\n") + piece * (1_000_000 // len(piece)))


def test_a_header_that_is_nested_beyond_reason_is_none() -> None:
    for depth in (10, 1200, 20_000):
        header = base64.urlsafe_b64encode(b'{"a":' + b"[" * depth).decode().rstrip("=")
        assert not list(shapes.find(f"see {header}.aaaa.AAAAAAAAAAAAAAAAAAAA"))


_KEY = re.compile(r"(?i)(?<![\w.-])(?:host|hostaddr|dbname|sslmode|server|data source|initial catalog|user id)=")
_PASSWORD = re.compile(
    r"(?<![\w.-])(?i:password|passwd|pwd)=(?:'((?:[^'\\\n]|\\.){1,256}+)'|([^\s;'\"&,()<>\\]{1,256}+))"
)


def _slowly(text: str) -> Iterator[tuple[int, int]]:
    """Where connection passwords stand, told as plainly as can be: by cutting out what stands around each."""
    for match in _PASSWORD.finditer(text):
        start = max(text.rfind("\n", 0, match.start()) + 1, match.start() - 256)
        before, after = text[start : match.start()], text[match.end() : match.end() + 256].split("\n", maxsplit=1)[0]
        in_query = before.endswith(("?", "&", ";")) and "://" in before
        beside = _KEY.search(re.split(r"[,()]", before)[-1]) or _KEY.search(re.split(r"[,()]", after)[0])
        group = 1 if match[1] else 2
        # What is no password but a template, such as `user`, is the same question for both.
        if (in_query or beside) and shapes._is_password(match[group]):  # pyright: ignore[reportPrivateUsage] - see above
            yield match.span(group)


@given(
    st.lists(
        st.sampled_from(
            [
                "pwd=",
                "password=",
                "Passwd=",
                "host=",
                "HOST=",
                "myhost=",
                "server=",
                "hostaddr=",
                "Q1",
                "'",
                '"',
                "\\",
                ",",
                "(",
                ")",
                ";",
                "&",
                "?",
                "://",
                "a",
                "-",
                "\n",
                " ",
                "data source=",
                "user id=",
                "\u017ferver=",
                "y" * 250,
                " " * 240,
                "z" * 256,
            ]
        ),
        max_size=40,
    ).map("".join)
)
def test_passwords_beside_the_keys_of_a_connection_string_are_found_and_no_others(text: str) -> None:
    found = [(start, end) for start, end, kind in shapes.find(text) if kind == "connection string password"]
    assert found == list(_slowly(text))


def test_many_passwords_without_a_connection_cost_little_more_than_finding_them() -> None:
    # The figure is a share of CPU time in one run: 12 where the keys are looked up, 140 where each is searched for.
    text = "pwd=Q1 " * 20_000

    def cost(work: Callable[[], object]) -> float:
        times: list[float] = []
        for _ in range(3):
            began = time.thread_time()
            work()
            times.append(time.thread_time() - began)
        return min(times)

    assert cost(lambda: shapes.find(text)) < 60 * cost(lambda: [*_PASSWORD.finditer(text)])
