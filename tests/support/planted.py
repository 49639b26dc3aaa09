"""Made-up secrets of every kind that is known, and texts in which they may stand."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

# Tokens are made when the tests run, from parts: no token-shaped text stands in the repository.
RANDOM = random.Random(3)
ALNUM = string.ascii_letters + string.digits
URL = ALNUM + "-_"
B64 = ALNUM + "+/"
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def some(alphabet: str, count: int) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(count))


def digits(count: int) -> str:
    return RANDOM.choice("123456789") + some(string.digits, count - 1)


def b64url(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt() -> str:
    return ".".join([b64url({"alg": "HS256", "typ": "JWT"}), b64url({"sub": "1234567890"}), some(URL, 43)])


def jwe() -> str:
    return ".".join([b64url({"alg": "dir", "enc": "A256GCM"}), "", some(URL, 16), some(URL, 60), some(URL, 22)])


def discord() -> str:
    user = base64.b64encode(digits(18).encode()).decode()
    return f"{user}.{some(ALNUM, 6)}.{some(URL, 37)}x"


def armour(kind: str, lines: int = 20, dashes: str = "-----") -> str:
    body = "\n".join(some(B64, 64) for _ in range(lines))
    back = dashes[::-1]
    return f"{dashes}BEGIN {kind}{back}\n{body}\n{some(ALNUM, 30)}==\n{dashes}END {kind}{back}"


KINDS: dict[str, tuple[str, Callable[[], str]]] = {
    "Gatelodge": (
        "gatelodge key",
        lambda: "gl" + "k_" + some(string.ascii_lowercase + "23456789", 10) + "_" + some(URL, 43),
    ),
    "GitHub personal": ("github token", lambda: "gh" + "p_" + some(ALNUM, 36)),
    "GitHub OAuth": ("github token", lambda: "gh" + "o_" + some(ALNUM, 36)),
    "GitHub user to server": ("github token", lambda: "gh" + "u_" + some(ALNUM, 36)),
    "GitHub server": ("github token", lambda: "gh" + "s_" + some(ALNUM, 36)),
    "GitHub server, long": ("github token", lambda: "gh" + "s_" + digits(7) + "_" + jwt()),
    "GitHub refresh": ("github token", lambda: "gh" + "r_" + some(ALNUM, 76)),
    "GitHub fine-grained": ("github token", lambda: "github_" + "pat_" + some(ALNUM, 22) + "_" + some(ALNUM, 59)),
    "GitLab": ("gitlab token", lambda: "gl" + "pat-" + some(URL, 19) + "1"),
    "GitLab, routable": ("gitlab token", lambda: "gl" + "pat-" + some(ALNUM, 27) + ".01.0" + some(HEX, 8)),
    "GitLab runner": ("gitlab token", lambda: "gl" + "rt-" + some(ALNUM, 20)),
    "AWS key id": ("aws access key", lambda: "AK" + "IA" + some(BASE32, 16)),
    "AWS temporary key id": ("aws access key", lambda: "AS" + "IA" + some(BASE32, 16)),
    "AWS secret key": ("aws secret key", lambda: some(B64, 39) + "a"),
    "Google API": ("google api key", lambda: "AI" + "za" + some(URL, 35)),
    "Google OAuth secret": ("google oauth secret", lambda: "GOC" + "SPX-" + some(URL, 28)),
    "Google access": ("google access token", lambda: "ya" + "29." + some(URL, 60)),
    "Slack bot": ("slack token", lambda: "xo" + "xb-" + digits(12) + "-" + digits(12) + "-" + some(ALNUM, 24)),
    "Slack app": ("slack token", lambda: "xa" + "pp-1-A" + some(UPPER, 10) + "-" + digits(12) + "-" + some(HEX, 64)),
    "Discord bot": ("discord bot token", discord),
    "Telegram bot": ("telegram bot token", lambda: "A" + "A" + some(URL, 33)),
    "Stripe live": ("stripe key", lambda: "sk_" + "live_" + some(ALNUM, 24)),
    "Stripe restricted": ("stripe key", lambda: "rk_" + "test_" + some(ALNUM, 99)),
    "Stripe webhook": ("stripe webhook secret", lambda: "wh" + "sec_" + some(ALNUM, 32)),
    "OpenAI project": ("openai key", lambda: "sk-" + "proj-" + some(URL, 74) + "T3Blbk" + "FJ" + some(URL, 74)),
    "OpenAI legacy": ("openai key", lambda: "sk-" + some(ALNUM, 20) + "T3Blbk" + "FJ" + some(ALNUM, 20)),
    "Anthropic": ("anthropic key", lambda: "sk-" + "ant-api03-" + some(URL, 93) + "AA"),
    "OpenRouter": ("openrouter key", lambda: "sk-" + "or-v1-" + some(HEX, 64)),
    "Groq": ("groq key", lambda: "gs" + "k_" + some(ALNUM, 52)),
    "xAI": ("xai key", lambda: "xa" + "i-" + some(ALNUM, 80)),
    "Perplexity": ("perplexity key", lambda: "pp" + "lx-" + some(ALNUM, 48)),
    "Replicate": ("replicate token", lambda: "r" + "8_" + some(ALNUM, 37)),
    "Hugging Face": ("hugging face token", lambda: "h" + "f_" + some(string.ascii_letters, 34)),
    "Tavily": ("tavily key", lambda: "tv" + "ly-dev-" + some(ALNUM, 32)),
    "npm": ("npm token", lambda: "np" + "m_" + some(ALNUM, 36)),
    "PyPI": ("pypi token", lambda: "py" + "pi-AgEIcHlwaS5vcmc" + some(URL, 120)),
    "RubyGems": ("rubygems key", lambda: "ruby" + "gems_" + some(HEX, 48)),
    "Docker": ("docker token", lambda: "dckr_" + "pat_" + some(URL, 27)),
    "Twilio": ("twilio key", lambda: "S" + "K" + some(HEX, 32)),
    "SendGrid": ("sendgrid key", lambda: "S" + "G." + some(URL, 22) + "." + some(URL, 43)),
    "Mailgun": ("mailgun key", lambda: "ke" + "y-" + some(HEX, 32)),
    "DigitalOcean": ("digitalocean token", lambda: "do" + "p_v1_" + some(HEX, 64)),
    "Azure storage": ("azure storage key", lambda: some(B64, 86) + "=="),
    "Azure service bus": ("azure shared access key", lambda: some(B64, 43) + "="),
    "Azure client": ("azure client secret", lambda: some(ALNUM, 3) + "8" + "Q~" + some(ALNUM, 34)),
    "Databricks": ("databricks token", lambda: "da" + "pi" + some(HEX, 32)),
    "Shopify": ("shopify token", lambda: "shp" + "at_" + some(HEX, 32)),
    "Linear": ("linear key", lambda: "lin_" + "api_" + some(ALNUM, 40)),
    "Notion": ("notion token", lambda: "nt" + "n_" + digits(11) + some(ALNUM, 35)),
    "Notion, older": ("notion token", lambda: "sec" + "ret_" + some(ALNUM, 42) + "7"),
    "Vault": ("vault token", lambda: "hv" + "s." + some(URL, 94) + "1"),
    "age": ("age key", lambda: "AGE-SECRET" + "-KEY-1" + some(BECH32, 58)),
    "Postman": ("postman key", lambda: "PM" + "AK-" + some(HEX, 24) + "-" + some(HEX, 34)),
    "Atlassian": ("atlassian token", lambda: "AT" + "ATT3xFfGF0" + some(URL, 170) + "=" + some(UPPER, 8)),
    "Figma": ("figma token", lambda: "fi" + "gd_" + some(URL, 40)),
    "New Relic": ("new relic key", lambda: "NR" + "AK-" + some(UPPER, 27)),
    "Grafana": ("grafana token", lambda: "gl" + "sa_" + some(ALNUM, 32) + "_" + some(HEX, 8)),
    "Grafana Cloud": (
        "grafana token",
        lambda: "gl" + "c_" + b64url({"o": "1234567", "n": "a-name", "k": some(ALNUM, 24)}),
    ),
    "Supabase": ("supabase key", lambda: "sb" + "p_" + some(HEX, 40)),
    "Supabase secret": ("supabase key", lambda: "sb_" + "secret_" + some(ALNUM, 22) + "_" + some(ALNUM, 8)),
    "Sentry user": ("sentry token", lambda: "snt" + "ryu_" + some(HEX, 64)),
    "Sentry organisation": (
        "sentry token",
        lambda: "snt" + "rys_" + b64url({"iat": 1, "url": "x" * 60}) + "_" + some(ALNUM, 43),
    ),
    "Tailscale": ("tailscale key", lambda: "ts" + "key-auth-" + some(ALNUM, 16) + "-" + some(ALNUM, 32)),
    "Pulumi": ("pulumi token", lambda: "pu" + "l-" + some(HEX, 40)),
    "1Password": ("1password token", lambda: "op" + "s_eyJ" + some(B64, 300)),
    "JWT": ("jwt", jwt),
    "JWE": ("jwt", jwe),
    "RSA key": ("private key", lambda: armour("RSA " + "PRIVATE KEY")),
    "EC key": ("private key", lambda: armour("EC " + "PRIVATE KEY", 2)),
    "PKCS #8 key": ("private key", lambda: armour("PRIVATE " + "KEY", 1)),
    "encrypted key": ("private key", lambda: armour("ENCRYPTED " + "PRIVATE KEY")),
    "OpenSSH key": ("private key", lambda: armour("OPENSSH " + "PRIVATE KEY", 6)),
    "OpenPGP key": ("private key", lambda: armour("PGP " + "PRIVATE KEY BLOCK", 60)),
    "SSH2 key": ("private key", lambda: armour("SSH2 ENCRYPTED " + "PRIVATE KEY", 9, "---- ")),
    "PostgreSQL": ("url password", lambda: some(ALNUM, 12)),
    "libpq": ("connection string password", lambda: some(ALNUM, 12)),
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
