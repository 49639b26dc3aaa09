"""Every known kind of token is found, and what only looks like one is left alone."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import sysconfig
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core.guard import shapes
from gatelodge_core.guard.redaction import Redactor

# Tokens are made when the tests run, from parts: no token-shaped text stands in the repository.
_RANDOM = random.Random(3)
_ALNUM = string.ascii_letters + string.digits
_URL = _ALNUM + "-_"
_B64 = _ALNUM + "+/"
_HEX = "0123456789abcdef"
_UPPER = string.ascii_uppercase + string.digits
_BASE32 = string.ascii_uppercase + "234567"
_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def some(alphabet: str, count: int) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(count))


def digits(count: int) -> str:
    return _RANDOM.choice("123456789") + some(string.digits, count - 1)


def b64url(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt() -> str:
    return ".".join([b64url({"alg": "HS256", "typ": "JWT"}), b64url({"sub": "1234567890"}), some(_URL, 43)])


def jwe() -> str:
    return ".".join([b64url({"alg": "dir", "enc": "A256GCM"}), "", some(_URL, 16), some(_URL, 60), some(_URL, 22)])


def discord() -> str:
    user = base64.b64encode(digits(18).encode()).decode()
    return f"{user}.{some(_ALNUM, 6)}.{some(_URL, 37)}x"


def armour(kind: str, lines: int = 20, dashes: str = "-----") -> str:
    body = "\n".join(some(_B64, 64) for _ in range(lines))
    back = dashes[::-1]
    return f"{dashes}BEGIN {kind}{back}\n{body}\n{some(_ALNUM, 30)}==\n{dashes}END {kind}{back}"


KINDS: dict[str, tuple[str, Callable[[], str]]] = {
    "GitHub personal": ("github token", lambda: "gh" + "p_" + some(_ALNUM, 36)),
    "GitHub OAuth": ("github token", lambda: "gh" + "o_" + some(_ALNUM, 36)),
    "GitHub user to server": ("github token", lambda: "gh" + "u_" + some(_ALNUM, 36)),
    "GitHub server": ("github token", lambda: "gh" + "s_" + some(_ALNUM, 36)),
    "GitHub server, long": ("github token", lambda: "gh" + "s_" + digits(7) + "_" + jwt()),
    "GitHub refresh": ("github token", lambda: "gh" + "r_" + some(_ALNUM, 76)),
    "GitHub fine-grained": ("github token", lambda: "github_" + "pat_" + some(_ALNUM, 22) + "_" + some(_ALNUM, 59)),
    "GitLab": ("gitlab token", lambda: "gl" + "pat-" + some(_URL, 19) + "1"),
    "GitLab, routable": ("gitlab token", lambda: "gl" + "pat-" + some(_ALNUM, 27) + ".01.0" + some(_HEX, 8)),
    "GitLab runner": ("gitlab token", lambda: "gl" + "rt-" + some(_ALNUM, 20)),
    "AWS key id": ("aws access key", lambda: "AK" + "IA" + some(_BASE32, 16)),
    "AWS temporary key id": ("aws access key", lambda: "AS" + "IA" + some(_BASE32, 16)),
    "AWS secret key": ("aws secret key", lambda: some(_B64, 39) + "a"),
    "Google API": ("google api key", lambda: "AI" + "za" + some(_URL, 35)),
    "Google OAuth secret": ("google oauth secret", lambda: "GOC" + "SPX-" + some(_URL, 28)),
    "Google access": ("google access token", lambda: "ya" + "29." + some(_URL, 60)),
    "Slack bot": ("slack token", lambda: "xo" + "xb-" + digits(12) + "-" + digits(12) + "-" + some(_ALNUM, 24)),
    "Slack app": ("slack token", lambda: "xa" + "pp-1-A" + some(_UPPER, 10) + "-" + digits(12) + "-" + some(_HEX, 64)),
    "Discord bot": ("discord bot token", discord),
    "Telegram bot": ("telegram bot token", lambda: "A" + "A" + some(_URL, 33)),
    "Stripe live": ("stripe key", lambda: "sk_" + "live_" + some(_ALNUM, 24)),
    "Stripe restricted": ("stripe key", lambda: "rk_" + "test_" + some(_ALNUM, 99)),
    "Stripe webhook": ("stripe webhook secret", lambda: "wh" + "sec_" + some(_ALNUM, 32)),
    "OpenAI project": ("openai key", lambda: "sk-" + "proj-" + some(_URL, 74) + "T3Blbk" + "FJ" + some(_URL, 74)),
    "OpenAI legacy": ("openai key", lambda: "sk-" + some(_ALNUM, 20) + "T3Blbk" + "FJ" + some(_ALNUM, 20)),
    "Anthropic": ("anthropic key", lambda: "sk-" + "ant-api03-" + some(_URL, 93) + "AA"),
    "OpenRouter": ("openrouter key", lambda: "sk-" + "or-v1-" + some(_HEX, 64)),
    "Groq": ("groq key", lambda: "gs" + "k_" + some(_ALNUM, 52)),
    "xAI": ("xai key", lambda: "xa" + "i-" + some(_ALNUM, 80)),
    "Perplexity": ("perplexity key", lambda: "pp" + "lx-" + some(_ALNUM, 48)),
    "Replicate": ("replicate token", lambda: "r" + "8_" + some(_ALNUM, 37)),
    "Hugging Face": ("hugging face token", lambda: "h" + "f_" + some(string.ascii_letters, 34)),
    "Tavily": ("tavily key", lambda: "tv" + "ly-dev-" + some(_ALNUM, 32)),
    "npm": ("npm token", lambda: "np" + "m_" + some(_ALNUM, 36)),
    "PyPI": ("pypi token", lambda: "py" + "pi-AgEIcHlwaS5vcmc" + some(_URL, 120)),
    "RubyGems": ("rubygems key", lambda: "ruby" + "gems_" + some(_HEX, 48)),
    "Docker": ("docker token", lambda: "dckr_" + "pat_" + some(_URL, 27)),
    "Twilio": ("twilio key", lambda: "S" + "K" + some(_HEX, 32)),
    "SendGrid": ("sendgrid key", lambda: "S" + "G." + some(_URL, 22) + "." + some(_URL, 43)),
    "Mailgun": ("mailgun key", lambda: "ke" + "y-" + some(_HEX, 32)),
    "DigitalOcean": ("digitalocean token", lambda: "do" + "p_v1_" + some(_HEX, 64)),
    "Azure storage": ("azure storage key", lambda: some(_B64, 86) + "=="),
    "Azure service bus": ("azure shared access key", lambda: some(_B64, 43) + "="),
    "Azure client": ("azure client secret", lambda: some(_ALNUM, 3) + "8" + "Q~" + some(_ALNUM, 34)),
    "Databricks": ("databricks token", lambda: "da" + "pi" + some(_HEX, 32)),
    "Shopify": ("shopify token", lambda: "shp" + "at_" + some(_HEX, 32)),
    "Linear": ("linear key", lambda: "lin_" + "api_" + some(_ALNUM, 40)),
    "Notion": ("notion token", lambda: "nt" + "n_" + digits(11) + some(_ALNUM, 35)),
    "Notion, older": ("notion token", lambda: "sec" + "ret_" + some(_ALNUM, 42) + "7"),
    "Vault": ("vault token", lambda: "hv" + "s." + some(_URL, 94) + "1"),
    "age": ("age key", lambda: "AGE-SECRET" + "-KEY-1" + some(_BECH32, 58)),
    "Postman": ("postman key", lambda: "PM" + "AK-" + some(_HEX, 24) + "-" + some(_HEX, 34)),
    "Atlassian": ("atlassian token", lambda: "AT" + "ATT3xFfGF0" + some(_URL, 170) + "=" + some(_UPPER, 8)),
    "Figma": ("figma token", lambda: "fi" + "gd_" + some(_URL, 40)),
    "New Relic": ("new relic key", lambda: "NR" + "AK-" + some(_UPPER, 27)),
    "Grafana": ("grafana token", lambda: "gl" + "sa_" + some(_ALNUM, 32) + "_" + some(_HEX, 8)),
    "Grafana Cloud": (
        "grafana token",
        lambda: "gl" + "c_" + b64url({"o": "1234567", "n": "a-name", "k": some(_ALNUM, 24)}),
    ),
    "Supabase": ("supabase key", lambda: "sb" + "p_" + some(_HEX, 40)),
    "Supabase secret": ("supabase key", lambda: "sb_" + "secret_" + some(_ALNUM, 22) + "_" + some(_ALNUM, 8)),
    "Sentry user": ("sentry token", lambda: "snt" + "ryu_" + some(_HEX, 64)),
    "Sentry organisation": (
        "sentry token",
        lambda: "snt" + "rys_" + b64url({"iat": 1, "url": "x" * 60}) + "_" + some(_ALNUM, 43),
    ),
    "Tailscale": ("tailscale key", lambda: "ts" + "key-auth-" + some(_ALNUM, 16) + "-" + some(_ALNUM, 32)),
    "Pulumi": ("pulumi token", lambda: "pu" + "l-" + some(_HEX, 40)),
    "1Password": ("1password token", lambda: "op" + "s_eyJ" + some(_B64, 300)),
    "JWT": ("jwt", jwt),
    "JWE": ("jwt", jwe),
    "RSA key": ("private key", lambda: armour("RSA " + "PRIVATE KEY")),
    "EC key": ("private key", lambda: armour("EC " + "PRIVATE KEY", 2)),
    "PKCS #8 key": ("private key", lambda: armour("PRIVATE " + "KEY", 1)),
    "encrypted key": ("private key", lambda: armour("ENCRYPTED " + "PRIVATE KEY")),
    "OpenSSH key": ("private key", lambda: armour("OPENSSH " + "PRIVATE KEY", 6)),
    "OpenPGP key": ("private key", lambda: armour("PGP " + "PRIVATE KEY BLOCK", 60)),
    "SSH2 key": ("private key", lambda: armour("SSH2 ENCRYPTED " + "PRIVATE KEY", 9, "---- ")),
    "PostgreSQL": ("url password", lambda: some(_ALNUM, 12)),
    "libpq": ("connection string password", lambda: some(_ALNUM, 12)),
}
"""Kind as masked, and a maker, by what it is."""

# A kind that is known by what stands around it.
PLACES = {
    "AWS secret key": "aws_secret_access_key = {}",
    "Telegram bot": "https://api.telegram.org/bot123456789:{}/getMe",
    "Azure storage": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net",
    "Azure service bus": "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=b;SharedAccessKey={}",
    "PostgreSQL": "postgresql://app:{}@db.internal:5432/shop?sslmode=require",
    "libpq": "host=db user=app password={} dbname=shop",
}
KIND_NAMES = sorted(KINDS)
SURROUNDINGS = [
    "{}",
    "token: {}",
    '{{"a": "{}"}}',
    "x='{}';",
    "a\\n{}\\nb",
    "a\n{}\nb",
    "({}).",
    "日本{}語",
    "`{}`",
    "a%3D{} b",
]


def planted(name: str) -> tuple[str, str, str]:
    kind, make = KINDS[name]
    secret = make()
    return kind, secret, PLACES.get(name, "{}").format(secret)


@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_planted_secret_is_masked_under_its_name(name: str, around: str) -> None:
    kind, secret, text = planted(name)
    masked, found = Redactor().text(around.format(text))
    assert secret not in masked
    assert f"[redacted: {kind}]" in masked
    assert found.get(kind) == 1


def test_there_are_at_least_forty_kinds_of_secrets() -> None:
    assert len({kind for kind, _ in KINDS.values()}) >= 40
    assert {shape.name for shape in shapes.SHAPES} - {kind for kind, _ in KINDS.values()} == {
        "slack webhook",
        "discord webhook",
    }


def test_of_a_webhook_the_secret_part_of_the_address_is_masked() -> None:
    secret = f"T{some(_UPPER, 9)}/B{some(_UPPER, 9)}/{some(_ALNUM, 24)}"
    text = "curl https://hooks.slack.com/" + "services/" + secret
    assert Redactor().text(text)[0] == "curl https://hooks.slack.com/services/[redacted: slack webhook]"
    text = "https://discord.com/api/webhooks/" + digits(18) + "/"
    assert Redactor().text(text + some(_URL, 68))[0] == text + "[redacted: discord webhook]"


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
        f"{_RANDOM.choice(words)}{_RANDOM.choice('.=(),;:!?')}{some(string.ascii_letters, _RANDOM.randint(1, 3))}"
        for _ in range(20000)
    ]
    return "".join(pieces) + "".join(f'u="data:font/woff2;base64,{some(_B64, 4000)}";' for _ in range(5))


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
    "UUIDs": lambda: "\n".join(str(uuid.UUID(int=_RANDOM.getrandbits(128))) for _ in range(5000)),
    "package lock": lock_file,
    "requirements lock": (Path(__file__).parents[2] / "requirements.lock").read_text,
    "minified JavaScript": fake_minified,
    "SSH public keys": lambda: "\n".join(f"ssh-rsa AAAAB3NzaC1yc2E{some(_B64, 360)}= me@host" for _ in range(50)),
    "certificates": lambda: "\n".join(armour("CERTIFICATE") for _ in range(20)),
    "public keys": lambda: armour("PUBLIC KEY") + armour("PGP PUBLIC KEY BLOCK") + armour("PGP SIGNATURE"),
    "base64 blobs": lambda: "\n".join(some(_B64, 76) for _ in range(5000)),
    "placeholders": lambda: " ".join(["gh" + "p_" + "x" * 36, "sk_" + "live_" + "X" * 24, "AKIAIOSFODNN7" + "EXAMPLE"]),
    "identifiers": lambda: "myghp_" + some(_ALNUM, 36) + " glpat-some-long-css-class-name secret_" + "a_name_" * 6,
    "JSON in base64": lambda: ".".join([b64url({"version": 3, "sources": []}), b64url({"a": 1}), some(_URL, 43)]),
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
    ["eyJ", "eyJ.", "ghp_", "\\nghp_", "://a:", "://", "@", "SK", "M", "MT.", "-----BEGIN PRIVATE" + " KEY-----\n", "A" * 64 + "\n", "password=", "host=", "hvs.", ":AA", "Q~", "a8Q~", "T3BlbkFJ", "xoxb-1", "-----END", "\x1b[", "⟦"],
    ids=repr,
)  # fmt: skip
def test_no_text_takes_more_than_linear_steps(piece: str) -> None:
    # With quadratic steps a million characters would take hours, and the time limit of the test run would end this.
    Redactor().text(piece * (1_000_000 // len(piece)))
    Redactor().text(("-----BEGIN PRIVATE" + " KEY-----\n") + piece * (1_000_000 // len(piece)))
