"""What the containers of compose.yaml need before they start: made once, into the volume of whoever needs it.

    setup                    make what is missing, and show the demo key if it is new
    setup keys ARGUMENTS     as `gatelodge keys`: who may call
    setup github-token       take the GitHub server's token from standard input
    setup database-url       take the PostgreSQL server's URL from standard input, instead of the demo's

Every file is for user 10001 alone. Nothing secret is an argument or a variable of any container.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gatelodge_core.store.accounts import person_rules, server_rules

ROOT = Path("/setup")
KEYS = ROOT / "keys" / "keys.json"
SERVERS = ("filesystem", "postgres", "github", "websearch")
PERSON = "keeper"
"""Who approves and revokes; see compose.yaml."""
BACKENDS = ("valkey", "database")
DATA = ("valkey-data", "database-data", "proxy-data")
LIFETIME = timedelta(days=3650)

VALKEY = """\
# TLS alone, and nobody without a password: an account for each server, which reaches what is that server's own, and one
# for the person who approves and revokes. Passwords are here as their SHA-256.
bind * -::*
port 0
tls-port 6379
tls-cert-file /etc/valkey/server.crt
tls-key-file /etc/valkey/server.key
tls-ca-cert-file /etc/valkey/ca.crt
tls-auth-clients no
user default reset
{accounts}
dir /data
appendonly yes
maxmemory 256mb
# What is kept here is counted on: it is refused rather than forgotten.
maxmemory-policy noeviction
"""

SHOP = """\
CREATE TABLE customer (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE purchase (
  id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customer, cents integer NOT NULL, day date NOT NULL);
INSERT INTO customer SELECT n, 'Customer ' || n FROM generate_series(1, 20) n;
INSERT INTO purchase SELECT n, 1 + n % 20, 100 * n, date '2026-01-01' + n FROM generate_series(1, 200) n;
"""


def main(arguments: list[str]) -> int:
    """Make what is missing, or do one of the things above; the exit status."""
    os.umask(0o077)
    make()
    if not arguments:
        return demo_key()
    if arguments[0] == "keys":
        return subprocess.run(["gatelodge", *arguments], check=False).returncode
    given = {"github-token": ROOT / "github" / "token", "database-url": ROOT / "postgres" / "url"}
    if len(arguments) != 1 or arguments[0] not in given:
        sys.stderr.write(__doc__ or "")
        return 2
    text = sys.stdin.read().strip()
    if not text or len(text.split()) != 1:
        sys.stderr.write(f"{arguments[0]}: give it on standard input: one line\n")
        return 2
    put(given[arguments[0]], text)
    write_settings()
    server = given[arguments[0]].parent.name
    sys.stderr.write(f"Kept. Now: docker compose up --detach --force-recreate --no-deps {server}\n")
    return 0


def make() -> None:
    """Passwords, certificates and settings, unless they are there."""
    for data in DATA:
        # With something in it a volume keeps its owner, whatever is at its place in the image that uses it next.
        (ROOT / data / ("17" if data == "database-data" else "gatelodge")).mkdir(exist_ok=True)
    # The last thing that is made: what was interrupted is made anew, all by one authority.
    if not (ROOT / "database" / "ca.crt").exists():
        certify()
    # Where an earlier release made the rest.
    if not (ROOT / PERSON / "ca.crt").exists():
        put(ROOT / PERSON / "ca.crt", (ROOT / "database" / "ca.crt").read_text())
    secret("database")
    put(ROOT / "valkey" / "valkey.conf", VALKEY.format(accounts=accounts()))
    recipe = subprocess.run(
        ["gatelodge-postgres", "grant-sql", "--database", "shop"], check=True, capture_output=True, text=True
    ).stdout
    put(ROOT / "database" / "shop.sql", SHOP + recipe.replace("'change me'", f"'{secret('database', 'reader')}'"))
    write_settings()


def secret(owner: str, name: str = "password") -> str:
    """A password or key that its owner alone is to know or to check, made at the first question."""
    place = ROOT / owner / name
    if not place.exists():
        put(place, secrets.token_hex(32))
    return place.read_text()


def accounts() -> str:
    """The accounts of Valkey, a line for each."""
    rules = {**{server: server_rules(server) for server in SERVERS}, PERSON: person_rules()}
    kept = {name: hashlib.sha256(secret(name, "store.key").encode()).hexdigest() for name in rules}
    return "\n".join(f"user {name} on #{kept[name]} {allowed}" for name, allowed in rules.items())


def store(name: str) -> list[str]:
    """How Valkey is reached, as settings."""
    return [
        f'store_url = "rediss://{name}:{secret(name, "store.key")}@valkey:6379/0"',
        'store_ca_file = "/etc/gatelodge/ca.crt"',
    ]


def write_settings() -> None:
    """The settings files of the servers, and of the person: what is secret in them."""
    put(ROOT / PERSON / "config.toml", "\n".join(store(PERSON)) + "\n")
    for server in SERVERS:
        lines = [
            *store(server),
            f'state_key = "{secret(server, "state.key")}"',
            f"[{server}]",
        ]
        if server == "github" and (ROOT / server / "token").exists():
            lines.append('token_file = "/etc/gatelodge/token"')
        if server == "postgres":
            url = ROOT / server / "url"
            lines.append(f'url = "{url.read_text() if url.exists() else demo_url()}"')
        put(ROOT / server / "config.toml", "\n".join(lines) + "\n")


def demo_url() -> str:
    """How the demo's database is reached."""
    return (
        f"postgresql://gatelodge_ro:{secret('database', 'reader')}@database:5432/shop"
        "?sslmode=verify-full&sslrootcert=/etc/gatelodge/ca.crt"
    )


def certify() -> None:
    """An authority for inside, whose own key is kept nowhere, and what it certifies."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Gatelodge, inside")])
    now = datetime.now(UTC) - timedelta(minutes=5)

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder(name, subject, public, x509.random_serial_number(), now, now + LIFETIME)
        return made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)

    own = certificate(name, key.public_key())
    own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    own = own.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = pem(own.add_extension(usage, critical=True).sign(key, hashes.SHA256()))
    for backend in BACKENDS:
        its = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, backend)])
        built = certificate(subject, its.public_key())
        built = built.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(backend)]), critical=False)
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        put(ROOT / backend / "server.key", its.private_bytes(serialization.Encoding.PEM, *form).decode())
        put(ROOT / backend / "server.crt", pem(built.sign(key, hashes.SHA256())))
    for owner in (*SERVERS, PERSON, *BACKENDS):
        put(ROOT / owner / "ca.crt", authority)


def pem(certificate: x509.Certificate) -> str:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def put(path: Path, text: str) -> None:
    """Write a whole file (0600), in place of another."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def demo_key() -> int:
    """A key for a first look, and how it is used; nothing where there are keys already."""
    if KEYS.exists():
        sys.stdout.write(
            "There are keys already: docker compose run --rm setup keys list (in the folder of compose.yaml)\n"
        )
        return 0
    hello = Path("/files/hello.txt")
    if not hello.exists():
        hello.write_text("Hello from the filesystem server's volume.\n")
    scopes = ("filesystem:write", "postgres:read", "github:read", "websearch:read")
    given = [word for scope in scopes for word in ("--scope", scope)]
    made = subprocess.run(
        ["gatelodge", "keys", "add", "--name", "demo", "--expires", "30d", *given],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        sys.stderr.write(made.stderr)
        return made.returncode
    address = os.environ["ADDRESS"]
    sys.stdout.write(
        f"\nA demo key, for 30 days, with {', '.join(scopes)}; it is shown here alone:\n\n"
        f"    {made.stdout.strip()}\n\n"
        f"The servers: {', '.join(f'{address}/{server}' for server in SERVERS)}.\n"
        "What follows is for the folder of compose.yaml.\n"
        "For a name that isn't public, such as localhost, callers need the certificate of Caddy's authority:\n\n"
        "    docker compose cp caddy:/data/caddy/pki/authorities/local/root.crt gatelodge-ca.crt\n"
        "    claude mcp add --transport http files "
        f'{address}/filesystem --header "Authorization: Bearer KEY"   # with NODE_EXTRA_CA_CERTS=gatelodge-ca.crt\n\n'
        "A key of your own:    docker compose run --rm setup keys add --name alice --scope filesystem:write\n"
        "Take this one back:   docker compose run --rm setup keys revoke --name demo\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
