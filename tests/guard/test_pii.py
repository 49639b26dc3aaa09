"""Personal data is found by checksum, form and context, and only if the server asks for it."""

from __future__ import annotations

import hashlib

import pytest
from gatelodge_core.guard import pii
from gatelodge_core.guard.redaction import Blocked, Redactor
from hypothesis import given
from hypothesis import strategies as st

# Published specimens and test numbers; nobody's data.
FOUND = [
    ("Write to jane.doe+x@mail.example.org.", "jane.doe+x@mail.example.org", "e-mail address"),
    ("<jörg@bücher.example>", "jörg@bücher.example", "e-mail address"),
    ("call +44 20 7946 0958 now", "+44 20 7946 0958", "phone number"),
    ("tel:+1-202-555-0143", "+1-202-555-0143", "phone number"),
    ("+49 (0)30/901820", "+49 (0)30/901820", "phone number"),
    ("card 4111 1111 1111 1111, please", "4111 1111 1111 1111", "card number"),
    ("5555555555554444", "5555555555554444", "card number"),
    ("3782-822463-10005", "3782-822463-10005", "card number"),
    ("2223003122003222", "2223003122003222", "card number"),
    ("IBAN: DE89 3704 0044 0532 0130 00 AND MORE", "DE89 3704 0044 0532 0130 00", "iban"),
    ("GB82WEST12345698765432", "GB82WEST12345698765432", "iban"),
    ("DNI 12345678Z", "12345678Z", "national id (ES)"),
    ("NIE X1234567L", "X1234567L", "national id (ES)"),
    ("2 55 08 14 168 025 38", "2 55 08 14 168 025 38", "national id (FR)"),
    ("BSN: 111222333", "111222333", "national id (NL)"),
    ("44051401359", "44051401359", "national id (PL)"),
    ("111.444.777-35", "111.444.777-35", "national id (BR)"),
    ("cpf 11144477735", "11144477735", "national id (BR)"),
    ("RSSMRA85T10A562S", "RSSMRA85T10A562S", "national id (IT)"),
    ("811218-9876", "811218-9876", "national id (SE)"),
    ("personnummer 198112189876", "198112189876", "national id (SE)"),
    ("NHS number 943 476 5919", "943 476 5919", "national id (GB)"),
    ("SSN 078-05-1120", "078-05-1120", "national id (US)"),
]

LEFT = [
    "icon@2x.png",
    "git@github.com:a/b.git",
    "lodash@4.17.21 @scope/pkg@1.2.3 @app.route",
    "+1 555",
    "+12345678901234567890",
    "x+12025550143",
    "+0012345678",
    "4111 1111 1111 1112",
    "4111-11111111-1111",
    "0.4111111111111111",
    "1234567812345670",
    "DE89 3704 0044 0532 0130 01",
    "XX82WEST12345698765432",
    "12345678A",
    "111222333",
    "44051401358",
    "44251401359",
    "111.444.777-36",
    "11144477735",
    "RSSMRA85T10A562T",
    "811218-9877",
    "811318-9876",
    "943 476 5919",
    "NHS 943 476 5918",
    "078-05-1120",
    "SSN 000-12-3456",
    "2026-11-25T00:33:10+02:00",
]


@pytest.mark.parametrize(("text", "data", "kind"), FOUND)
def test_personal_data_is_masked(text: str, data: str, kind: str) -> None:
    assert Redactor(pii="mask").text(text) == (text.replace(data, f"[redacted: {kind}]"), {kind: 1})


@pytest.mark.parametrize("text", LEFT)
def test_what_has_no_checksum_or_no_context_stays(text: str) -> None:
    assert pii.find(text) == []


@pytest.mark.parametrize("text", [text for text, _, _ in FOUND])
def test_off_is_the_default(text: str) -> None:
    assert Redactor().text(text) == (text, {})


def test_block_names_the_kinds_and_never_the_data() -> None:
    text = "jane@example.org, 4111111111111111"
    with pytest.raises(Blocked) as caught:
        Redactor(pii="block").value({"rows": [text]})
    assert caught.value.kinds == ("card number", "e-mail address")
    assert "e-mail address" in str(caught.value)
    assert "jane" not in str(caught.value)
    assert "4111" not in str(caught.value)
    assert Redactor(pii="block").text("nothing personal") == ("nothing personal", {})


def test_numbers_that_are_card_numbers_are_masked_in_a_tree() -> None:
    tree = {"card": 4111111111111111, "count": 41111111}
    assert Redactor(pii="mask").value(tree)[0] == {"card": "[redacted: card number]", "count": 41111111}


@given(st.integers(10**14, 10**15 - 1))
def test_luhn_holds_for_exactly_one_check_digit(body: int) -> None:
    assert sum(pii.luhn(f"{body}{digit}") for digit in range(10)) == 1


@given(st.integers(0, 15), st.integers(1, 9))
def test_one_wrong_digit_is_no_card(place: int, more: int) -> None:
    number = "4539148803436467"
    changed = number[:place] + str((int(number[place]) + more) % 10) + number[place + 1 :]
    assert pii.luhn(number)
    assert not pii.luhn(changed)


def test_digests_hold_no_personal_data() -> None:
    text = "\n".join(hashlib.sha256(str(index).encode()).hexdigest() for index in range(5000))
    assert pii.find(text) == []


@pytest.mark.parametrize("piece", ["a", "1", "1 ", "@", "a@", "@a.", "+1", "+1 ", "DE89", "DE", "A1"])
def test_no_text_takes_more_than_linear_steps(piece: str) -> None:
    # With quadratic steps this would meet the time limit of the test run.
    pii.find(piece * (1_000_000 // len(piece)))
