"""Where a shared store may be, and that no error tells its password."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings
from gatelodge_core.store.address import Address, parsed
from gatelodge_core.store.seals import seals
from pydantic import SecretStr

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6380/3", Address("127.0.0.1", 6380, "", 3, "", "", tls=False)),
        ("redis://127.8.8.8", Address("127.8.8.8", 6379, "", 0, "", "", tls=False)),
        ("redis://[::1]:7000", Address("::1", 7000, "", 0, "", "", tls=False)),
        ("redis://:p%40ss@localhost/", Address("localhost", 6379, "", 0, "", "p@ss", tls=False)),
        ("unix:///run/valkey.sock", Address("", 0, "/run/valkey.sock", 0, "", "", tls=False)),
        ("rediss://gate:pw@store.example:6390/1", Address("store.example", 6390, "", 1, "gate", "pw", tls=True)),
        ("rediss://:pw@10.0.0.7", Address("10.0.0.7", 6379, "", 0, "", "pw", tls=True)),
        ("rediss://127.0.0.1", Address("127.0.0.1", 6379, "", 0, "", "", tls=True)),
    ],
)
def test_a_store_on_this_machine_or_one_in_secret_is_used(url: str, expected: Address) -> None:
    assert parsed(url) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"redis://:{SECRET}@10.0.0.7", "needs TLS"),
        (f"redis://u:{SECRET}@valkey:6379", "needs TLS"),
        (f"redis://u:{SECRET}@127.0.0.1.example", "needs TLS"),
        (f"redis://u:{SECRET}@0.0.0.0", "needs TLS"),
        (f"redis://u:{SECRET}@[::ffff:10.0.0.7]", "needs TLS"),
        ("rediss://store.example", "needs a password"),
        ("rediss://user@store.example", "needs a password"),
        # What a client library would take from there.
        (f"rediss://u:{SECRET}@store.example/0?ssl_cert_reqs=none", "nothing may follow"),
        (f"rediss://u:{SECRET}@store.example/0#x", "nothing may follow"),
        (f"rediss://u:{SECRET}@store.example/db", "write redis://"),
        (f"rediss://u:{SECRET}@store.example:99999", "write redis://"),
        (f"rediss://u:{SECRET}@store.example:0", "write redis://"),
        (f"http://u:{SECRET}@127.0.0.1", "write redis://"),
        (f"unix://u:{SECRET}@host/run/x", "write redis://"),
        (f"unix:run/{SECRET}", "write redis://"),
        (f"redis://u:{SECRET}@", "write redis://"),
        (SECRET, "write redis://"),
        (f"redis://u:{SECRET}@[", "write redis://"),
        (f"redis://127.0.0.1/0\n{SECRET}", "nothing may follow"),
    ],
)
def test_any_other_is_refused_with_what_to_write_and_without_its_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        parsed(url)
    assert SECRET not in str(refused.value)


def test_authorities_of_a_store_must_be_there_and_be_of_use(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no effect without TLS"):
        parsed("redis://127.0.0.1", str(tmp_path))
    with pytest.raises(SettingsError, match="can't be read"):
        parsed("rediss://127.0.0.1", str(tmp_path / "none.pem"))


def test_an_address_is_shown_without_its_password() -> None:
    address = parsed(f"rediss://u:{SECRET}@store.example")
    assert SECRET not in repr(address)
    assert address.shown == "store.example:6379"


def settings(key: str) -> LodgeSettings:
    return LodgeSettings(state_key=SecretStr(key))


def test_the_first_seal_is_the_one_that_seals_and_short_ones_are_refused() -> None:
    old, new = "o" * 32, "n" * 40
    assert seals(settings("")) == ()
    assert seals(settings(f"{new}, {old}")) == (new.encode(), old.encode())
    for bad in ("short", f"{new},short", f"{new},", ",".join([new] * 5)):
        with pytest.raises(SettingsError, match="openssl rand") as refused:
            seals(settings(bad))
        assert new not in str(refused.value)
