"""Several people on one server: each has databases of its own, and gets at nothing of another's by whatever way."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gatelodge_core.audit.verify import verify
from gatelodge_core.errors import SettingsError
from gatelodge_postgres.server import build
from gatelodge_postgres.settings import PostgresSettings

from tests.postgres.bed import Bed
from tests.postgres.dba import database
from tests.postgres.seed import READER, Home
from tests.support.several import Several, several
from tests.support.wire import PATIENCE, REVISIONS, Revision

NAMES = ["alice", "bob"]
STRANGER = "stranger"


@dataclass(frozen=True)
class House:
    """The server, and the text that is in whose database alone."""

    several: Several
    secrets: dict[str, str]

    def foreign(self, name: str, text: str) -> list[str]:
        """Whose secrets or tables are in a text that this caller was given."""
        return [other for other, secret in self.secrets.items() if other != name and secret in text]


@pytest.fixture(scope="module")
def house(system_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    known = {name: f"s{secrets.token_hex(6)}" for name in (*NAMES, "starter")}
    # The table's name is as much of a secret as what is in it.
    tables = {name: f"CREATE SCHEMA kept; CREATE TABLE kept.{text} AS SELECT '{text}'::text AS word; "
              f"GRANT USAGE ON SCHEMA kept TO {READER}; GRANT SELECT ON ALL TABLES IN SCHEMA kept TO {READER}"
              for name, text in known.items()}  # fmt: skip
    with (
        database(system_bed, tables["alice"]) as first,
        database(system_bed, tables["bob"]) as second,
        database(system_bed, tables["starter"]) as third,
    ):
        urls = dict(
            zip(
                ("ledger", "stock", "vault"),
                (Home(system_bed, name).url() for name in (first, second, third)),
                strict=True,
            )
        )
        lines = [
            f'[postgres.databases.{name}]\nurl = {json.dumps(url)}\ndescription = "the {name}"\n'
            for name, url in urls.items()
        ]
        lines += [
            '[postgres.accounts."key:alice"]\nconnections = ["ledger"]\n',
            '[postgres.accounts."key:bob"]\nconnections = ["stock"]\n',
        ]
        place = tmp_path_factory.mktemp("server")
        with several(place, "postgres", "".join(lines), [*NAMES, STRANGER]) as made:
            yield House(made, known)


WAYS: list[tuple[str, dict[str, object]]] = [
    ("list_objects", {}),
    ("describe_objects", {"names": ["kept.*"]}),
    ("run_query", {"sql": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'kept'"}),
    ("search_schema", {"query": "word"}),
    ("show_activity", {}),
    ("check_health", {}),
    ("list_top_queries", {}),
    ("explain_query", {"sql": "SELECT 1"}),
]
"""What reads without naming a table."""


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_caller_sees_its_own_database_and_no_name_of_another(house: House, revision: Revision) -> None:
    for name, own in (("alice", "ledger"), ("bob", "stock")):
        wire = house.several.wire(name, revision)
        text = house.secrets[name]
        assert text in wire.text("run_query", sql=f"SELECT word FROM kept.{text}")
        assert text in wire.text("run_query", sql=f"SELECT word FROM kept.{text}", connection=own)
        said = json.dumps([wire.request("tools/list"), wire.request("resources/list"), wire.request("prompts/list")])
        others = {"ledger", "stock", "vault"} - {own}
        assert [other for other in others if re.search(rf"\b{other}\b", said)] == []
        for tool, arguments in WAYS:
            said = json.dumps(wire.request("tools/call", {"name": tool, "arguments": arguments}))
            assert house.foreign(name, said) == [], (tool, said[:500])


def test_naming_another_database_says_no_more_than_that_it_is_not_there(house: House) -> None:
    wire = house.several.wire("alice")
    told = {other: wire.error("run_query", sql="SELECT 1", connection=other) for other in ("stock", "vault", "none")}
    assert {text.replace(other, "X") for other, text in told.items()} == {
        "no_connection: there is no database 'X'. There are: ledger."
    }
    for uri in ("pg://stock", "pg://vault/health", f"pg://stock/kept/{house.secrets['bob']}", "pg://none"):
        said = json.dumps(wire.request("resources/read", {"uri": uri}))
        assert "error" in said
        assert house.foreign("alice", said.replace(uri, "")) == []
    ref = {"type": "ref/resource", "uri": "pg://{connection}"}
    said = json.dumps(
        wire.request("completion/complete", {"ref": ref, "argument": {"name": "connection", "value": ""}})
    )
    assert "stock" not in said
    assert "vault" not in said


def test_who_has_no_account_gets_nothing_and_is_told_so(house: House) -> None:
    wire = house.several.wire(STRANGER)
    assert wire.request("tools/list")["result"]["tools"] == []
    for tool, arguments in WAYS:
        assert "no_account: no database of this server belongs to this caller." in wire.error(tool, **arguments)
    assert "no_account" in json.dumps(wire.request("resources/read", {"uri": "pg://ledger"}))
    assert "no_account" in json.dumps(wire.request("resources/list"))


def test_an_export_is_read_by_its_maker_alone(house: House) -> None:
    alice, bob = house.several.wire("alice"), house.several.wire("bob")
    told = alice.text("export_query", sql=f"SELECT word FROM kept.{house.secrets['alice']}")
    found = re.search(r"pg://results/[\w-]+", told)
    assert found is not None, told
    assert house.secrets["alice"] in json.dumps(alice.request("resources/read", {"uri": found[0]}))
    said = json.dumps(bob.request("resources/read", {"uri": found[0]}))
    assert "error" in said
    assert house.secrets["alice"] not in said


def test_a_cursor_of_one_caller_is_nothing_to_another(house: House) -> None:
    alice, bob = house.several.wire("alice"), house.several.wire("bob")
    cursor = base64.urlsafe_b64encode(json.dumps(["ledger", "", ""]).encode()).decode().rstrip("=")
    assert "result" in alice.request("resources/list", {"cursor": cursor})
    assert "no cursor of this list" in json.dumps(bob.request("resources/list", {"cursor": cursor}))


def test_two_callers_at_once_never_get_each_others_rows(house: House) -> None:
    wrong: list[str] = []
    answers: list[str] = []

    def work(name: str) -> None:
        wire, text = house.several.wire(name), house.secrets[name]
        for number in range(50):
            said = wire.text("run_query", sql=f"SELECT word, {number} AS n FROM kept.{text}")
            answers.append(name)
            if f"\n{text},{number}\n" not in said or house.foreign(name, said):
                wrong.append(f"{name}: {said[:300]}")

    threads = [threading.Thread(target=work, args=(NAMES[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 4)
    assert wrong == []
    assert len(answers) == 400
    assert verify(str(house.several.state / "journal")).ok


def test_accounts_name_principals_and_databases_that_there_are(tmp_path: Path) -> None:
    given = {"databases": {"one": {"url": "postgresql://u@localhost/d"}}, "state_dir": str(tmp_path)}
    with pytest.raises(ValueError, match="no principal"):
        PostgresSettings.model_validate({**given, "accounts": {"alice": {"connections": ["one"]}}})
    settings = PostgresSettings.model_validate({**given, "accounts": {"key:alice": {"connections": ["two"]}}})
    with pytest.raises(SettingsError, match=r"accounts\.key:alice: there is no database 'two'; there are: one"):
        build(settings)
