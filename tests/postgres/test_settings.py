"""What the PostgreSQL server is told, and what it refuses to be told."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_postgres.connect.target import parse
from gatelodge_postgres.server import build, declarations, places
from gatelodge_postgres.settings import PostgresSettings, passwords

SECRET = "pw-that-nobody-may-see"


def load(*argv: str) -> PostgresSettings:
    return PostgresSettings.load(list(argv))


def test_databases_come_from_arguments_variables_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[postgres.databases.dwh]\nurl = "postgresql://r@dwh/dwh"\ndescription = "the warehouse"\n[postgres]\npool_size = 2\n'
        '[postgres.databases.shop]\nurl = "postgresql://r@shop/old"\nssh = "me@bastion"\n'
    )
    monkeypatch.setenv("GATELODGE_POSTGRES_SHOP_URL", f"postgresql://r:{SECRET}@shop/new")
    monkeypatch.setenv("GATELODGE_POSTGRES_SHOP_WRITE_URL", "postgresql://w@shop/new")
    monkeypatch.setenv("GATELODGE_POSTGRES_ERP_2_PASSWORD_COMMAND", "vault read 'erp reader'")
    monkeypatch.setenv("GATELODGE_POSTGRES_ERP_2_URL", "postgresql://r@erp/erp")
    settings = load("--config", str(file), "local=postgresql://me@localhost/mine")
    found = settings.all_databases()
    assert set(found) == {"local", "dwh", "shop", "erp_2"}
    assert settings.pool_size == 2
    assert found["shop"].url.get_secret_value().endswith("/new")
    assert (found["shop"].ssh, found["dwh"].description) == ("me@bastion", "the warehouse")
    assert found["erp_2"].password_command == "vault read 'erp reader'"
    assert found["local"].url.get_secret_value() == "postgresql://me@localhost/mine"


def test_one_plain_url_is_the_default_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(load("postgresql://me@localhost/a?application_name=x").all_databases()) == ["default"]
    monkeypatch.setenv("GATELODGE_POSTGRES_URL", "host=localhost dbname=a user=me")
    assert list(load().all_databases()) == ["default"]


@pytest.mark.parametrize(
    "argument",
    [f"postgresql://me:{SECRET}@localhost/a", f"shop=postgresql://me:{SECRET}@h/a", f"host=h password={SECRET}"],
)
def test_a_password_in_an_argument_is_refused_without_repeating_it(argument: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(argument)
    assert SECRET not in str(caught.value)
    assert "GATELODGE_POSTGRES_URL" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GATELODGE_POSTGRES_SHOP_ULR", "x", "there is no such setting"),
        ("GATELODGE_POSTGRES_RESULTS_URL", "postgresql://h/a", "can't name a database"),
        ("GATELODGE_POSTGRES_SHOP_PASSWORD_COMMAND", "echo 'x", "password_command"),
        ("GATELODGE_POSTGRES_SHOP_SSH", "-oProxyCommand=evil", "ssh names a host"),
        ("GATELODGE_POSTGRES_TOOLS", "core:everything", "is not one of"),
        ("GATELODGE_POSTGRES_URL", "${DATABASE_URL}", "placeholder"),
        ("GATELODGE_POSTGRES_PRIVILEGES", "enforced", "privileges"),
    ],
)
def test_what_makes_no_sense_stops_the_start(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=said):
        load()


@pytest.mark.parametrize(
    "flag", ["--mask-columns=a.b.c", "--deny-relations=a.b", "--allow-relations=a.b", "--allow-write"]
)
def test_what_only_the_verdict_holds_is_not_promised_without_it(flag: str) -> None:
    with pytest.raises(SettingsError, match="needs judge = parsed"):
        load("postgresql://h/a", "--judge", "server-only", *flag.split("=", 1))


def test_without_any_database_the_error_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GATELODGE_POSTGRES_URL"):
        build(PostgresSettings(state_dir=str(tmp_path)))


def test_an_unreadable_url_is_told_of_without_its_text() -> None:
    for url in (f"postgresql://me:{SECRET}@[h", f"post gres://{SECRET}", f"nonsense={SECRET}", f"host=h port={SECRET}"):
        with pytest.raises(SettingsError) as caught:
            parse("shop", url)
        assert "shop" in str(caught.value)
        assert SECRET not in str(caught.value)


def test_tls_is_required_off_this_machine_unless_the_url_says_otherwise() -> None:
    def mode(url: str) -> object:
        return parse("x", url).parameters.get("sslmode")

    assert mode("postgresql://me@db.example.org/a") == "require"
    assert mode("postgresql://me@127.0.0.1,db.example.org/a") == "require"
    assert mode("postgresql://me@db.example.org/a?sslmode=disable") == "disable"
    assert mode("postgresql://me@db.example.org/a?sslmode=verify-full") == "verify-full"
    assert mode("postgresql://me@localhost/a") != "require"
    assert mode("postgresql:///a?host=/run/postgresql") != "require"


def test_passwords_are_secrets_in_every_spelling_and_plain_urls_are_not() -> None:
    assert passwords("postgresql://me:p%40ss@h/a") == ["p@ss", "p%40ss"]
    assert passwords("host=h password='a b'") == ["a b"]
    settings = PostgresSettings.model_validate(
        {"url": "postgresql://me:p%40ss@h/a", "databases": {"b": {"url": "postgresql://me@h/b"}}}
    )
    held = settings.secrets()
    assert {"p@ss", "p%40ss", "postgresql://me:p%40ss@h/a"} <= set(held.values())
    assert "postgresql://me@h/b" not in held.values()


def test_variables_that_held_urls_are_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_POSTGRES_SHOP_URL", f"postgresql://me:{SECRET}@h/a")
    monkeypatch.setenv("GATELODGE_POSTGRES_SHOP_WRITE_URL", f"postgresql://w:{SECRET}@h/a")
    assert {"GATELODGE_POSTGRES_SHOP_URL", "GATELODGE_POSTGRES_SHOP_WRITE_URL"} <= set(load().secret_variables())


def test_groups_and_switches_decide_what_is_offered() -> None:
    def offered(**given: object) -> set[str]:
        return set(declarations(PostgresSettings.model_validate({"url": "postgresql://h/a", **given})).tools)

    assert len(offered(tools=["core"])) == 5
    assert offered() >= {"run_query", "search_schema", "check_health", "export_query"}
    assert not offered() & {"preview_change", "apply_change", "cancel_backend"}
    assert "export_query" not in offered(read_only=True)
    assert "cancel_backend" in offered(allow_admin=True)
    assert not offered(allow_write=True, allow_admin=True, read_only=True) & {"preview_change", "cancel_backend"}


def test_connection_is_an_argument_only_where_there_is_a_choice() -> None:
    one = PostgresSettings.model_validate({"url": "postgresql://h/a"})
    two = PostgresSettings.model_validate(
        {"databases": {"a": {"url": "postgresql://h/a"}, "b": {"url": "postgresql://h/b"}}}
    )
    import inspect

    for settings, there in ((one, False), (two, True)):
        for tool in declarations(settings).tools.values():
            assert ("connection" in inspect.signature(tool.function).parameters) is there, tool.name
    assert set(places(two)) == {"a", "b"}


@pytest.mark.parametrize("port", ["²", "5432²", "9" * 5000, "0", "65536", "-1"])
def test_a_port_that_is_none_is_said_to_be_none(port: str) -> None:
    with pytest.raises(SettingsError, match="port is no number"):
        parse("main", f"host=h port={port}")
