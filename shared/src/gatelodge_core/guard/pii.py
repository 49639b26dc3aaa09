"""Tier three of redaction, only if asked for: personal data, told from other text by checksums and context.

A pattern without a checksum counts only where a word beside it says what it is. E-mail addresses and international
phone numbers have no checksum and count by form. Sources: RFC 5321 (addresses), ITU-T E.164 (phone numbers), ISO/IEC
7812 (cards, Luhn), ISO 13616 (IBAN), and the issuing authorities' descriptions of the national numbers.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator

from gatelodge_core.guard.shapes import Span

_EMAIL = re.compile(r"@(?:[^\W_](?:[^\W_]|-){0,61}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_FILES = frozenset({"png", "jpg", "jpeg", "gif", "webp", "svg", "avif", "ico", "css", "js", "html", "py"})
"""Endings of `icon@2x.png` and the like, which are no top-level domains."""
_PHONE = re.compile(r"\+(?<![\w+.)]\+)[1-9](?:[ ().\-/\u00a0\u202f]{0,2}[0-9]){7,14}(?![\w])")
_NANP = re.compile(r"1[2-9]\d\d[2-9]\d{6}")
_CARD = re.compile(r"[2-6](?<![\w.+/-].)\d{3}(?:[ -]?\d){8,15}(?![\w-]|\.\d)")
_CARD_GROUPS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1))
_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?: ?[A-Z0-9]){11,30}")
_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL SD FK",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK MN",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL OM SO",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {country: length for length, some in _IBAN_COUNTRIES.items() for country in some.split()}
_CONTEXT_REACH = 48
_SEPARATORS = re.compile(r"[^0-9A-Za-z]")


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(number - 9 if number > 9 else number for number in doubled)) % 10 == 0


def find(text: str) -> list[Span]:
    """Every piece of personal data in a text, by kind; they may overlap."""
    spans = [*_emails(text), *_phones(text), *_cards(text), *_ibans(text)]
    for kind, pattern, check, context in _NATIONAL:
        spans.extend(
            (*match.span(), kind)
            for match in pattern.finditer(text)
            if check(_SEPARATORS.sub("", match[0])) and (context is None or _near(text, match.start(), context))
        )
    return spans


def _emails(text: str) -> Iterator[Span]:
    """Found from the `@`, since looking for a local part first would take quadratic time."""
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        at = match.start()
        local = _LOCAL.search(text[max(0, at - 64) : at])
        # `git@host` is how a repository is addressed, not a person.
        if local and local[0] != "git" and match[0].rpartition(".")[2].lower() not in _FILES:
            yield at - len(local[0]), match.end(), "e-mail address"


def _phones(text: str) -> Iterator[Span]:
    if "+" not in text:
        return
    for match in _PHONE.finditer(text):
        digits = _digits(match[0])
        if 8 <= len(digits) <= 15 and (digits[0] != "1" or _NANP.fullmatch(digits)) and len(set(digits)) > 2:
            yield (*match.span(), "phone number")


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        groups = re.split("[ -]", match[0])
        if len(groups) > 1 and tuple(map(len, groups)) not in _CARD_GROUPS:
            continue
        digits = "".join(groups)
        if _is_issued(digits) and luhn(digits) and len(set(digits)) > 1:
            yield (*match.span(), "card number")


def _is_issued(digits: str) -> bool:
    """Whether a scheme issues cards with this beginning and this length."""
    size = len(digits)
    four = int(digits[:4])
    if digits[0] == "4":
        return size in {13, 16, 19}
    if 5100 <= four <= 5599 or 2221 <= four <= 2720:
        return size == 16
    if digits[:2] in {"34", "37"}:
        return size == 15
    if 3000 <= four <= 3059 or digits[:2] in {"36", "38", "39"}:
        return size == 14
    if 3528 <= four <= 3589 or four == 6011 or 6440 <= four <= 6599 or digits[:2] == "62" or 2200 <= four <= 2204:
        return 16 <= size <= 19
    return four in {5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763} and 12 <= size <= 19


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match[0][:2])
        if length is None:
            continue
        end = match.start()
        compact = ""
        while len(compact) < length and end < match.end():
            compact += text[end].strip()
            end += 1
        ended = end == len(text) or not (text[end].isascii() and text[end].isalnum())
        if (
            len(compact) == length
            and ended
            and int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1
        ):
            yield match.start(), end, "iban"


def _near(text: str, start: int, words: re.Pattern[str]) -> bool:
    return words.search(text, max(0, start - _CONTEXT_REACH), start) is not None


def _digits(value: str) -> str:
    return "".join(char for char in value if char.isdigit())


def _weighted(digits: str, weights: str | tuple[int, ...]) -> int:
    return sum(int(digit) * int(weight) for digit, weight in zip(digits, weights, strict=False))


def _is_date(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def _is_dni(value: str) -> bool:
    number = int(value[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == value[-1]


def _is_nir(value: str) -> bool:
    body = value[:-2].replace("2A", "19", 1).replace("2B", "18", 1) if value[5:7] in {"2A", "2B"} else value[:-2]
    month = int(value[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and 97 - int(body) % 97 == int(value[-2:])


def _is_bsn(value: str) -> bool:
    return (_weighted(value, (9, 8, 7, 6, 5, 4, 3, 2)) - int(value[-1])) % 11 == 0 and len(set(value)) > 1


def _is_pesel(value: str) -> bool:
    century, month = divmod(int(value[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(value[:2])
    return _is_date(year, month, int(value[4:6])) and (10 - _weighted(value, "1379137913") % 10) % 10 == int(value[-1])


def _is_cpf(value: str) -> bool:
    first = _weighted(value, tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighted(value, tuple(range(11, 1, -1))) * 10 % 11 % 10
    return len(set(value)) > 1 and value[9:] == f"{first}{second}"


_ODD = dict(
    zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21) * 2 + (2, 4, 18, 20, 11, 3, 6, 8)
        + (12, 14, 16, 10, 22, 25, 24, 23), strict=True)
)  # fmt: skip


def _is_codice_fiscale(value: str) -> bool:
    """The sixteenth character checks the others (decree of 23 December 1976)."""
    total = sum(_ODD[char] for char in value[0:15:2]) + sum(
        int(char, 36) - (0 if char.isdigit() else 10) for char in value[1:15:2]
    )
    return chr(ord("A") + total % 26) == value[15]


def _is_personnummer(value: str) -> bool:
    digits = _digits(value)[-10:]
    day = int(digits[4:6])
    # A coordination number has 60 added to its day.
    return _is_date(2000, int(digits[2:4]), day - 60 if day > 60 else day) and luhn(digits)


def _is_nhs(value: str) -> bool:
    return 11 - _weighted(value, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11 == (int(value[-1]) or 11)


def _is_ssn(value: str) -> bool:
    return value[:3] not in {"000", "666"} and value[0] != "9" and value[3:5] != "00" and value[5:] != "0000"


# What stands before is looked at after the first character, so that the search can skip to that.
_NATIONAL: tuple[tuple[str, re.Pattern[str], Callable[[str], bool], re.Pattern[str] | None], ...] = (
    ("national id (ES)", re.compile(r"[0-9XYZ](?<![\w-].)-?\d{7}-?[A-HJ-NP-TV-Z](?![\w-])"), _is_dni, None),
    (
        "national id (FR)",
        re.compile(r"[12](?<![\w.-].) ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d(?![\w.-])"),
        _is_nir,
        None,
    ),
    ("national id (NL)", re.compile(r"\d(?<![\w.-].)\d{8}(?![\w-])"), _is_bsn, re.compile(r"(?i)\b(?:bsn|burgerservice|sofi)")),
    ("national id (PL)", re.compile(r"\d(?<![\w.-].)\d{10}(?![\w-])"), _is_pesel, None),
    ("national id (BR)", re.compile(r"\d(?<![\w.-].)\d{2}\.\d{3}\.\d{3}-\d\d(?![\w-])"), _is_cpf, None),
    ("national id (BR)", re.compile(r"\d(?<![\w.-].)\d{10}(?![\w-])"), _is_cpf, re.compile(r"(?i)\bcpf")),
    (
        "national id (IT)",
        re.compile(r"[A-Z](?<!\w.)[A-Z]{5}[\dL-NP-V]{2}[A-EHLMPR-T][\dL-NP-V]{2}[A-Z][\dL-NP-V]{3}[A-Z](?!\w)"),
        _is_codice_fiscale,
        None,
    ),
    ("national id (SE)", re.compile(r"\d(?<![\w.-].)\d{5}(?:\d\d)?[-+]\d{4}(?![\w-])"), _is_personnummer, None),
    ("national id (SE)", re.compile(r"[12](?<![\w.-].)[09]\d{10}(?![\w-])"), _is_personnummer, re.compile("(?i)person")),
    ("national id (GB)", re.compile(r"\d(?<![\w.-].)\d{2}[ -]?\d{3}[ -]?\d{4}(?![\w-])"), _is_nhs, re.compile(r"(?i)\bnhs")),
    (
        "national id (US)",
        re.compile(r"\d(?<![\w.-].)\d{2}[ -]?\d{2}[ -]?\d{4}(?![\w-])"),
        _is_ssn,
        re.compile(r"(?i)\bssn\b|social.?security"),
    ),
)  # fmt: skip
