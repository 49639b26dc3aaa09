"""API keys as they lie and as they are judged: what is kept is no key, and only a whole live key is taken."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.auth import keyfile as keyfile_module
from gatelodge_core.auth.building import judges
from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import KEPT, Grant, Key, decode, encode, issue, mark, seal_of
from gatelodge_core.auth.keys import LOOK_SECONDS, KeyAuthenticator
from gatelodge_core.auth.model import Revoked, Unauthenticated
from gatelodge_core.auth.principal import Principal
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings

PEPPER = b"p" * 64
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
READS = Grant("alice", ("filesystem:read",), lifetime=timedelta(days=90))


def made(grant: Grant = READS, now: datetime = NOW) -> tuple[str, Key]:
    return issue(grant, PEPPER, now)


class Bed:
    """A file of keys, and a judge on it with clocks of ours."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.path = folder / "keys.json"
        self.file = KeyFile(str(self.path))
        self.clock, self.now = 100.0, NOW.timestamp()

    def add(self, grant: Grant = READS) -> tuple[str, Key]:
        with self.file.changing() as keys:
            text, key = issue(grant, self.file.pepper, NOW)
            keys.append(key)
        return text, key

    def change(self, name: str, **fields: Any) -> None:
        with self.file.changing() as keys:
            keys[:] = [key.model_copy(update=fields) if key.id == name else key for key in keys]

    def judge(self, revoked: Revoked | None = None) -> KeyAuthenticator:
        return KeyAuthenticator(
            KeyFile(str(self.path)), revoked, clock=lambda: self.clock, now=lambda: self.now
        )  # fmt: skip

    def later(self, seconds: float = LOOK_SECONDS) -> None:
        self.clock += seconds
        self.now += seconds


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path / "keys")


def ask(judge: KeyAuthenticator, token: str) -> Principal | str:
    """Who it is, or why nobody."""

    async def main() -> Principal | str:
        try:
            return await judge.authenticate(token)
        except Unauthenticated as error:
            return f"{error.description}, {error.unavailable}" if error.unavailable else error.description

    return anyio.run(main)


UNKNOWN = "this key is not known"
CLOSED = "keys can't be judged now, 2.0"


def test_a_key_is_its_id_and_256_random_bits() -> None:
    texts = [made()[0] for _ in range(300)]
    secrets = {text[15:] for text in texts}
    assert all(text.startswith("glk_") and len(text) == 58 for text in texts)
    assert len(secrets) == 300
    # Every position takes many values: none of the 43 characters is fixed by the program.
    assert all(len({secret[at] for secret in secrets}) >= 16 for at in range(43))


def test_what_is_kept_holds_neither_the_key_nor_its_secret(bed: Bed) -> None:
    text, key = bed.add()
    kept = b"".join(path.read_bytes() for path in bed.path.parent.iterdir())
    assert text.encode() not in kept
    assert text[15:].encode() not in kept
    assert key.hash == hmac.new(bed.file.pepper, text.encode(), "sha256").hexdigest()
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in bed.path.parent.iterdir())


def test_a_key_brings_what_it_was_given(bed: Bed) -> None:
    grant = Grant("bob@x.example", ("filesystem:write", "github:read"), ("read_*", "find_files"), 30)
    text, key = bed.add(grant)
    who = ask(bed.judge(), text)
    assert isinstance(who, Principal)
    assert (str(who), who.via, who.per_minute) == ("key:bob@x.example", key.id, 30)
    assert who.may("filesystem:write")
    assert who.may("filesystem:read")
    assert not who.may("filesystem:destroy")
    assert not who.may("github:write")
    assert not who.may("postgres:read")
    assert who.may_call("read_file")
    assert not who.may_call("write_file")


def test_records_come_back_as_they_were_and_in_their_order() -> None:
    keys = [
        made(Grant(f"n{at}", ("a:read",), lifetime=None if at % 2 else timedelta(hours=at + 1)))[1] for at in range(9)
    ]
    keys[3] = keys[3].model_copy(update={"revoked": NOW})
    assert decode(encode(keys, PEPPER), PEPPER) == keys


def variants(text: str) -> list[str]:
    prefix, name, secret = text.split("_", 2)
    swapped = text[:-1] + ("A" if text[-1] != "A" else "B")
    cases = [text[:at] + text[at].swapcase() + text[at + 1 :] for at in range(4, len(text)) if text[at].isalpha()]
    return [
        *(text[:cut] for cut in range(4, len(text))), *cases, swapped, text.upper(), text.lower() + "A",
        f"{text} ", f" {text}", f"{text}\n", f"{text}\0", f"glk_ {name}_{secret}", text + "A", text + text, f"{text}=",
        f"{prefix}_{name}__{secret[1:]}", f"{prefix}_{name}{secret}", f"{prefix}__{secret}", f"{prefix}_{name}_", "glk_", "",
        text.replace("glk", "\uff27\uff2c\uff2b"), text[:-1] + "é", text[:-1] + "\ud800", f"glk_{'z' * 10}_{secret}", "glk_" + "a" * 100_000,
    ]  # fmt: skip


def test_only_the_whole_key_is_taken_to_the_letter(bed: Bed) -> None:
    text, _ = bed.add()
    judge = bed.judge()
    assert isinstance(ask(judge, text), Principal)
    wrong = [variant for variant in variants(text) if variant != text]
    assert len(wrong) > 100
    assert {ask(judge, variant) for variant in wrong} == {UNKNOWN}


def test_the_secret_of_one_key_does_not_fit_the_id_of_another(bed: Bed) -> None:
    (one, first), (two, second) = bed.add(), bed.add(Grant("bob", ("filesystem:destroy",)))
    crossed = [f"glk_{second.id}_{one[15:]}", f"glk_{first.id}_{two[15:]}"]
    assert [ask(bed.judge(), text) for text in crossed] == [UNKNOWN, UNKNOWN]


def test_a_hash_is_no_key(bed: Bed) -> None:
    _, key = bed.add()
    assert [ask(bed.judge(), f"glk_{key.id}_{text}") for text in (key.hash, key.hash[:43])] == [UNKNOWN, UNKNOWN]


def test_every_judgement_does_the_same_work_and_compares_in_constant_time(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, key = bed.add()
    judge = bed.judge()
    done: list[str] = []

    def spy(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            done.append(f"{name} {len(given[1])}")
            return real(*given)

        return called

    # The functions themselves do the work; a comparison with == would not be seen here.
    monkeypatch.setattr(hmac, "compare_digest", spy("compare", hmac.compare_digest))
    monkeypatch.setattr(hmac, "digest", spy("hash", hmac.digest))
    work: dict[str, tuple[str, ...]] = {}
    for what, token in {
        "right": text, "wrong secret": text[:-5] + "AAAAA", "unknown id": f"glk_zzzzzzzzzz_{text[15:]}",
        "no id at all": "glk_" + "." * 54, "first byte wrong": f"glk_{key.id}_" + "A" * 43,
    }.items():  # fmt: skip
        done.clear()
        ask(judge, token)
        work[what] = tuple(done)
    assert set(work.values()) == {("hash 58", "compare 32")}, work


def test_a_key_ends_when_it_expires(bed: Bed) -> None:
    text, key = bed.add()
    judge = bed.judge()
    assert key.expires is not None
    bed.now = key.expires.timestamp() - 0.001
    assert isinstance(ask(judge, text), Principal)
    bed.now = key.expires.timestamp()
    assert ask(judge, text) == "this key has expired"
    # A thief of a part of it learns nothing.
    assert ask(judge, text[:-1] + "_") == UNKNOWN


def test_what_changes_in_the_file_is_known_at_the_next_look(bed: Bed) -> None:
    text, key = bed.add()
    judge = bed.judge()
    other, _ = bed.add(Grant("bob", ("filesystem:read",)))
    bed.change(key.id, revoked=NOW)
    # Not before: a flood of requests must not be a flood of looks.
    bed.later(LOOK_SECONDS - 0.01)
    assert isinstance(ask(judge, text), Principal)
    bed.later(0.01)
    assert ask(judge, text) == "this key was revoked"
    assert isinstance(ask(judge, other), Principal)


def test_an_unchanged_file_is_not_read_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = bed.add()
    judge = bed.judge()
    reads: list[str] = []
    real = os.open

    def opened(path: Any, *given: Any, **named: Any) -> int:
        reads.append(str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", opened)
    for _ in range(50):
        bed.later()
        ask(judge, text)
    assert str(bed.path) not in reads
    bed.add()
    bed.later()
    reads.clear()
    ask(judge, text)
    assert str(bed.path) in reads


@pytest.mark.parametrize(
    "how", ["gone", "cut", "no json", "open to others", "another's", "folder", "fifo", "huge", "folder open"]
)
def test_what_can_not_be_trusted_lets_nobody_in_until_it_is_mended(bed: Bed, how: str) -> None:
    if how == "another's" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    text, _ = bed.add()
    judge = bed.judge()
    whole = bed.path.read_bytes()
    folder = bed.path.parent
    match how:
        case "gone":
            bed.path.unlink()
        case "cut":
            bed.path.write_bytes(whole[: len(whole) // 2])
        case "no json":
            bed.path.write_bytes(b"\xff\xfe")
        case "open to others":
            bed.path.chmod(0o644)
        case "another's":
            os.chown(bed.path, 12345, -1)
        case "folder":
            bed.path.unlink()
            bed.path.mkdir()
        case "fifo":
            bed.path.unlink()
            os.mkfifo(bed.path, 0o600)
        case "huge":
            bed.path.write_bytes(whole + b" " * keyfile_module.MAX_BYTES)
        case _:
            folder.chmod(0o777)
            bed.path.write_bytes(whole)
    bed.later()
    assert judge.ready()
    assert ask(judge, text) == CLOSED
    assert ask(judge, text[:-1]) == CLOSED
    with pytest.raises(SettingsError) as caught:
        bed.judge()
    assert str(caught.value).startswith(str(folder))
    # As `gatelodge keys`, or a restored backup, would do it.
    folder.chmod(0o700)
    if bed.path.is_dir():
        bed.path.rmdir()
    mended = folder / "mended"
    mended.write_bytes(whole)
    mended.chmod(0o600)
    mended.replace(bed.path)
    bed.later()
    assert judge.ready() == []
    assert isinstance(ask(judge, text), Principal)


def tampered(change: Callable[[dict[str, Any]], object]) -> bytes:
    keys = [made()[1], made(Grant("bob", ("github:read",), ("list_*",), 5))[1]]
    table = json.loads(encode(keys, PEPPER))
    change(table)
    return json.dumps(table).encode()


TAMPERED: dict[str, tuple[bytes, str]] = {
    "a wider scope": (tampered(lambda table: table["keys"][0].update(scopes=["filesystem:destroy"])), "changed by"),
    "a later end": (tampered(lambda table: table["keys"][0].update(expires=None)), "changed by"),
    "all tools": (tampered(lambda table: table["keys"][1].update(tools=None)), "changed by"),
    "another name": (tampered(lambda table: table["keys"][1].update(name="alice")), "changed by"),
    "swapped hashes": (tampered(lambda table: table["keys"][0].update(hash=table["keys"][1]["hash"])), "changed by"),
    "a key taken out": (tampered(lambda table: table["keys"].pop()), "changed by"),
    "a key twice": (tampered(lambda table: table["keys"].append(table["keys"][0])), "changed by"),
    "another order": (tampered(lambda table: table["keys"].reverse()), "changed by"),
    "an unknown field": (tampered(lambda table: table["keys"][0].update(networks=["10.0.0.0/8"])), "changed by"),
    "no seal": (tampered(lambda table: table.pop("seal")), "fields are others"),
    "an empty seal": (tampered(lambda table: table.update(seal="")), "changed by"),
    "a seal that is no text": (tampered(lambda table: table.update(seal=None)), "changed by"),
    "another field": (tampered(lambda table: table.update(more=1)), "fields are others"),
    "keys that are no list": (tampered(lambda table: table.update(keys={})), "fields are others"),
    "a future format": (tampered(lambda table: table.update(version=2)), "update Gatelodge"),
    "no format": (tampered(lambda table: table.pop("version")), "update Gatelodge"),
    "a list": (b"[]", "holds no table"),
    "nothing": (b"", "isn't JSON"),
    "a deep nest": (b"[" * 100_000, "isn't JSON"),
    "a deep nest in a table": (b'{"version":1,"pepper":"","seal":"","keys":' + b"[" * 900 + b"]" * 900 + b"}", "another pepper"),
    "a deep nest of this pepper": (
        b'{"version":1,"pepper":"' + mark(PEPPER).encode() + b'","seal":"","keys":' + b"[" * 900 + b"]" * 900 + b"}",
        "changed by|too deep|isn't JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_changed_file_is_refused_whatever_was_changed(what: str) -> None:
    content, says = TAMPERED[what]
    with pytest.raises(SettingsError, match=says):
        decode(content, PEPPER)


def sealed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """What a later version could write, which knows the pepper."""
    row = made()[1].model_dump(mode="json")
    change(row)
    seal: Callable[[list[object], bytes], str] = seal_of
    table = json.loads(encode([], PEPPER)) | {"keys": [row], "seal": seal([row], PEPPER)}
    return json.dumps(table).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"networks": ["10.0.0.0/8"]}, {"scopes": []}, {"scopes": ["everything"]}, {"scopes": "filesystem:read"},
        {"tools": []}, {"per_minute": -1}, {"per_minute": "5"}, {"hash": "00"}, {"name": "a\nb"}, {"id": "UPPERCASED"},
        {"expires": "2026-11-25T12:00:00"}, {"expires": 5}, {"revoked": "soon"}, {"revoked": False},
    ],
)  # fmt: skip
def test_a_record_of_a_later_version_is_never_half_understood(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="can't judge") as caught:
        decode(sealed(lambda row: row.update(change)), PEPPER)
    assert "10.0.0.0" not in str(caught.value)
    decode(sealed(lambda row: row.update(per_minute=3)), PEPPER)


def test_a_file_of_another_pepper_is_told_apart_from_a_changed_one() -> None:
    with pytest.raises(SettingsError, match="another pepper"):
        decode(encode([made()[1]], PEPPER), b"q" * 64)


def test_a_lost_pepper_is_not_quietly_replaced(bed: Bed) -> None:
    bed.add()
    (bed.path.parent / "pepper.key").unlink()
    fresh = KeyFile(str(bed.path))
    with pytest.raises(SettingsError, match=r"restore .*pepper\.key"), fresh.changing():
        pass
    with pytest.raises(SettingsError, match=r"restore .*pepper\.key"):
        bed.judge()
    assert not (bed.path.parent / "pepper.key").exists()


def test_a_pepper_of_the_settings_is_kept_nowhere(tmp_path: Path) -> None:
    given = "s3cr3t-" * 8
    file = KeyFile(str(tmp_path / "k" / "keys.json"), given)
    with file.changing() as keys:
        keys.append(issue(READS, file.pepper, NOW)[1])
    assert {path.name for path in (tmp_path / "k").iterdir()} == {"keys.json", "keys.json.lock"}
    assert given.encode() not in (tmp_path / "k" / "keys.json").read_bytes()
    assert len(KeyFile(file.path, given).read()[1]) == 1
    with pytest.raises(SettingsError, match="32 characters"):
        KeyFile(file.path, "short").read()


def test_a_pepper_file_can_move_into_a_setting(bed: Bed) -> None:
    bed.add()
    text = (bed.path.parent / "pepper.key").read_text().strip()
    assert len(KeyFile(str(bed.path), text).read()[1]) == 1


def test_a_pepper_that_others_can_read_is_refused(bed: Bed) -> None:
    bed.add()
    (bed.path.parent / "pepper.key").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        bed.judge()


def test_a_change_that_fails_leaves_all_as_it_was(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.add()
    before = bed.path.read_bytes()
    with contextlib.suppress(RuntimeError), bed.file.changing() as keys:
        keys.clear()
        raise RuntimeError
    assert bed.path.read_bytes() == before

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        bed.add()
    assert bed.path.read_bytes() == before
    assert {path.name for path in bed.path.parent.iterdir()} == {"keys.json", "keys.json.lock", "pepper.key"}


def test_a_link_is_followed_by_a_server_and_never_replaced_by_a_command(bed: Bed) -> None:
    text, _ = bed.add()
    # As Kubernetes mounts a secret.
    inner = bed.path.parent / "..data"
    inner.mkdir()
    bed.path.rename(inner / "keys.json")
    bed.path.symlink_to("..data/keys.json")
    judge = bed.judge()
    assert isinstance(ask(judge, text), Principal)
    with pytest.raises(SettingsError, match="symbolic link"), bed.file.changing():
        pass
    assert bed.path.is_symlink()


def test_keys_that_are_dead_for_long_may_be_forgotten() -> None:
    key = made(Grant("a", ("a:read",), lifetime=timedelta(days=1)))[1]
    ends = NOW + timedelta(days=1)
    assert not key.forgotten(ends + KEPT - timedelta(seconds=1))
    assert key.forgotten(ends + KEPT)
    assert made(Grant("a", ("a:read",)))[1].forgotten(NOW + timedelta(days=9999)) is False
    assert key.model_copy(update={"revoked": NOW}).forgotten(NOW + KEPT)


def test_a_shared_list_of_revocations_is_asked_and_its_silence_lets_nobody_in(bed: Bed) -> None:
    text, key = bed.add()
    asked: list[str] = []
    listed: set[str] = set()
    broken: list[Exception] = []

    async def revoked(name: str) -> bool:
        asked.append(name)
        if broken:
            raise broken[0]
        return name in listed

    judge = bed.judge(revoked)
    assert isinstance(ask(judge, text), Principal)
    assert asked == [f"key-id:{key.id}", "key:alice"]
    asked.clear()
    assert ask(judge, text[:-1]) == UNKNOWN
    assert asked == []  # who has no key can't make us ask
    for name in (f"key-id:{key.id}", "key:alice"):
        listed = {name}
        assert ask(judge, text) == "this key was revoked"
    listed = {"key:bob"}
    assert isinstance(ask(judge, text), Principal)
    for error in (SettingsError("x"), OSError("x"), TimeoutError(), RuntimeError("x")):
        broken[:] = [error]
        assert ask(judge, text) == CLOSED


def test_ten_thousand_wrong_keys_leave_no_trace_in_memory(bed: Bed) -> None:
    text, key = bed.add()
    judge = bed.judge()

    async def main() -> int:
        refused = 0
        for number in range(10_000):
            token = f"glk_{key.id if number % 2 else f'{number:010}'}_{number:043}"
            try:
                await judge.authenticate(token)
            except Unauthenticated:
                refused += 1
        return refused

    anyio.run(main)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert anyio.run(main) == 10_000
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 100_000, grown
    assert isinstance(ask(judge, text), Principal)


def settings(bed: Bed, **more: Any) -> LodgeSettings:
    return LodgeSettings(keys_file=str(bed.path), state_dir=str(bed.path.parent.parent / "state"), **more)


def test_a_confined_server_is_granted_the_folder_of_keys_and_nothing_else(bed: Bed, tmp_path: Path) -> None:
    bed.add()

    def granted(given: LodgeSettings) -> tuple[str, ...]:
        return judges(given, resource="", keys=True, oauth=False).read

    assert granted(settings(bed)) == (str(bed.path.parent),)
    assert granted(settings(bed, sandbox="off")) == ()
    # The state folder is granted to every server anyway.
    assert granted(LodgeSettings(keys_file=str(bed.path), state_dir=str(bed.path.parent))) == ()
    (bed.path.parent / "private.txt").write_text("x")
    with pytest.raises(SettingsError, match=r"other things \(private\.txt\)"):
        granted(settings(bed))
    (bed.path.parent / "private.txt").unlink()
    bed.path.rename(tmp_path / "elsewhere.json")
    bed.path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(SettingsError, match="leads out of its folder"):
        granted(settings(bed))


def test_a_server_without_keys_says_how_to_make_one(bed: Bed) -> None:
    with pytest.raises(SettingsError, match=r"gatelodge keys add --name NAME --scope SCOPE --keys-file"):
        judges(settings(bed), resource="", keys=True, oauth=False)
