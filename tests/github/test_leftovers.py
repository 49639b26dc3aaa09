"""What looks for tokens in what tests leave behind finds them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.github.emulator import token_of
from tests.github.leftovers import leaks

TOKEN = token_of("alice")


@pytest.mark.parametrize("before", ["", "a", "ab", "Authorization: Bearer "])
def test_a_token_is_found_as_it_is_and_encoded(before: str) -> None:
    assert leaks([("plain", f"{before}{TOKEN}\n")], None) == ["plain"]
    assert leaks([("encoded", base64.b64encode(f"{before}{TOKEN}:x".encode()).decode())], None) == ["encoded"]
    assert leaks([("harmless", f"{before}ghp_ {TOKEN[:10]}")], None) == []


def test_a_token_is_found_in_the_state_of_a_server_and_allowed_in_a_file_of_the_tests_own(tmp_path: Path) -> None:
    journal = tmp_path / "one" / "state" / "journal" / "x.jsonl"
    journal.parent.mkdir(parents=True)
    (tmp_path / "token").write_text(TOKEN)
    journal.write_text("{}")
    assert leaks([], tmp_path) == []
    journal.write_bytes(b"\xff" + TOKEN.encode())
    assert leaks([], tmp_path) == [str(journal)]
    journal.unlink()
