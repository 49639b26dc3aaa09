"""``gatelodge approve`` as a person uses it: a real terminal, real servers that park calls, and races."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.store.approvals import Approval, Approvals

from tests.support.typist import Typist
from tests.support.wire import MODERN, Wire, connected

COMMAND = [sys.executable, "-m", "gatelodge_core.cli.__main__", "approve"]
ASKED = r"\nLet it happen, once\? Type approve or deny; Enter leaves it waiting: "
PLAIN = {"NO_COLOR": "1"}


class Desk:
    """A state folder with calls that wait in it."""

    def __init__(self, base: Path) -> None:
        self.state = base / "state"
        self.path = self.state / "approvals.sqlite"
        self.approvals = Approvals(str(self.path))

    def park(self, binding: str = "b", effect: str = "-old\n+new", **more: str) -> Approval:
        given = {"server": "toy", "principal": "os-user:1000", "name": "drop_item", **more}
        return self.approvals.park(binding, effect=effect, **given)

    def command(self, *arguments: str) -> list[str]:
        return [*COMMAND, *arguments, "--state-dir", str(self.state)]

    def person(self, *arguments: str, env: dict[str, str | None] | None = None, **screen: Any) -> Typist:
        return Typist(self.command(*arguments), {**PLAIN, **(env or {})}, **screen)

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), input=typed, capture_output=True, text=True, timeout=60, check=False
        )

    def state_of(self, approval: Approval) -> str | None:
        return self.approvals.state(approval.code)

    def sql(self, statement: str, *values: object) -> None:
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            connection.execute(statement, values)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class House:
    """A folder whose edits are confirmed, behind a host that can't ask."""

    def __init__(self, base: Path) -> None:
        self.desk = Desk(base)
        self.notes = base / "notes"
        self.notes.mkdir()
        for name in ("a.txt", "b.txt"):
            (self.notes / name).write_text("one\n", encoding="utf-8")
        policy = base / "policy.toml"
        policy.write_text(
            '[[rule]]\ntool = "edit_file"\nthen = "confirm"\nreason = "Edits are looked at."\n', encoding="utf-8"
        )
        self.command = [
            sys.executable, "-m", "gatelodge_filesystem", str(self.notes), "--state-dir", str(self.desk.state),
            "--policy", str(policy),
        ]  # fmt: skip

    @staticmethod
    def edit(name: str) -> dict[str, Any]:
        return {"path": f"notes/{name}", "edits": [{"old": "one", "new": "ONE"}]}

    def text(self, name: str) -> str:
        return (self.notes / name).read_text(encoding="utf-8")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def wire(house: House) -> Generator[Wire]:
    with connected(house.command, "stdio", MODERN) as made:
        yield made


def test_whoever_watches_is_asked_as_a_server_parks_calls_and_what_they_approve_is_made(
    house: House, wire: Wire
) -> None:
    with house.desk.person("--watch") as person:
        person.expect("Watching .*state: you are asked as calls come")
        assert "approval_required" in wire.error("edit_file", **house.edit("a.txt"))
        person.expect(r"\n1 waits\.\n\n[A-Z0-9]{4}-[A-Z0-9]{4}: edit_file of the filesystem server, by os-user:")
        person.expect(r"  \| It changes\. Asked because: Edits are looked at\.\n")
        person.expect(r"  \| -one\n  \| \+ONE\n")
        person.expect(ASKED)
        # A second call comes while the first one is being read.
        assert "approval_required" in wire.error("edit_file", **house.edit("b.txt"))
        assert house.text("a.txt") == "one\n"
        person.type("approve")
        person.expect("Approved, once")
        assert "edited" in wire.text("edit_file", **house.edit("a.txt"))
        assert (house.text("a.txt"), house.text("b.txt")) == ("ONE\n", "one\n")
        person.expect("b.txt")
        person.expect(ASKED)
        person.type("deny")
        person.expect("Declined")
        assert "declined" in wire.error("edit_file", **house.edit("b.txt"))
        assert house.text("b.txt") == "one\n"
        person.key("\x03")
        assert person.ended() == 130


@pytest.mark.parametrize("answer", ["", " ", "\t", "ok", "sure", "yess", "1", "approve all", "\u0443", "APPROVE!"])
def test_only_a_whole_word_approves_and_never_enter_alone(desk: Desk, answer: str) -> None:
    approval = desk.park()
    with desk.person(approval.code) as person:
        person.expect(ASKED)
        person.type(answer)
        if answer.strip():
            person.expect("That is none of these")
            person.expect(ASKED)
            person.type("")
        person.expect(f"It waits on, under {approval.code}")
        assert person.ended() == 1
    assert desk.state_of(approval) == "parked"


@pytest.mark.parametrize(
    ("answer", "state"), [("approve", "approved"), ("Y", "approved"), ("deny", "declined"), ("n", "declined")]
)
def test_an_answer_is_taken_and_the_command_ends_with_0(desk: Desk, answer: str, state: str) -> None:
    approval = desk.park()
    with desk.person(approval.code.lower()) as person:
        person.expect(ASKED)
        person.type(answer)
        assert person.ended() == 0
    assert desk.state_of(approval) == state


def test_what_was_typed_before_the_question_is_no_answer_to_it(desk: Desk) -> None:
    approval = desk.park()
    with desk.person(approval.code, before="approve\napprove\n") as person:
        person.expect(ASKED)
        person.type("")
        person.expect("It waits on")
    assert desk.state_of(approval) == "parked"
    # Neither are the further lines of something pasted.
    first, second = approval, desk.park("c")
    with desk.person("--watch") as person:
        person.expect(ASKED)
        person.type("deny\napprove\napprove")
        person.expect("Declined")
        person.expect(ASKED)
        person.key("\x03")
        person.ended()
    assert (desk.state_of(first), desk.state_of(second)) == ("declined", "parked")


@pytest.mark.parametrize("way", ["ctrl-d", "half a line", "ctrl-c", "window closed"])
def test_whoever_leaves_answers_nothing(desk: Desk, way: str) -> None:
    approval = desk.park()
    with desk.person(approval.code) as person:
        person.expect(ASKED)
        if way == "window closed":
            person.hang_up()
        elif way == "half a line":
            person.key("approve\x04\x04")
        else:
            person.key({"ctrl-d": "\x04", "ctrl-c": "\x03"}[way])
        assert person.ended() != 0
        assert "Traceback" not in person.text
    assert desk.state_of(approval) == "parked"


def test_a_long_effect_is_approved_only_when_all_of_it_was_shown(desk: Desk) -> None:
    approval = desk.park(effect="\n".join(f"+line {number}" for number in range(100)) + "\n+rm -rf everything")
    with desk.person(approval.code, rows=24) as person:
        person.expect(r"\| \+line 15\n")
        person.expect(r"85 more lines\. Type more or all to see them")
        assert "rm -rf" not in person.text
        person.type("approve")
        person.expect("See all of it first")
        for _ in range(5):
            person.expect(r"more lines\. Type more")
            person.type("more")
        person.expect(r"\+rm -rf everything\n")
        person.expect(ASKED)
        person.type("approve")
        person.expect("Approved, once")
    assert desk.state_of(approval) == "approved"
    other = desk.park("other", effect="\n".join(map(str, range(100))))
    with desk.person(other.code, rows=24) as person:
        person.expect("more lines")
        person.type("all")
        person.expect(r"\| 99\n")
        person.expect(ASKED)
        person.type("deny")
        person.expect("Declined")
    third = desk.park("third", effect="\n".join(map(str, range(100))))
    with desk.person(third.code, rows=24) as person:
        person.expect("more lines")
        person.type("deny")
        person.expect("Declined")


HOSTILE = (
    "harmless\n\x1b[2J\x1b[H\x1b[8mhidden\x1b]0;title\x07\n\r\nLet it happen, once? Type approve or deny; Enter leaves it "
    "waiting: deny\nDeclined.\n\u202etxt.exe\u2066\u200b\n"
    + "A" * 300
    + "Nothing waits for approval."
    + "\n" * 300
    + "+evil"
)


@pytest.mark.parametrize("columns", [60, 100])
def test_hostile_text_forges_nothing_on_the_screen(desk: Desk, columns: int) -> None:
    approval = desk.park(effect=HOSTILE, name="x\x1b[1A\nApproved, once", principal="\u202eann\n" + "p" * 300)
    for arguments in ((approval.code,), ("--watch",), ()):
        with desk.person(*arguments, columns=columns, rows=60) as person:
            if not arguments:
                person.expect("Enter to leave: ")
                person.type("1")
            person.expect(ASKED)
            shown = person.text.replace("\a", "")
            assert not re.search(r"[^\n -~…]", shown), ascii(shown)
            lines = shown.split("\n")
            # Each text of the caller's stands behind a margin; ours alone begins a line.
            for line in lines:
                if re.search(r"Declined|Nothing waits|AAAA|pppp|evil|harmless|hidden", line):
                    assert line.startswith(("  | ", "  : ", "     ", f"{approval.code}: ", "  1  ")), line
                    assert len(line) <= columns
            assert len([line for line in lines if line.startswith("Let it happen")]) == 1
            person.type("")
    assert desk.state_of(approval) == "parked"
    listed = desk.run()
    assert not re.search(r"[^\n -~…]", listed.stdout)
    assert len(listed.stdout.splitlines()) == 3


def test_colours_are_there_unless_they_are_unwelcome(desk: Desk) -> None:
    approval = desk.park()
    for env, coloured in (
        ({"NO_COLOR": None}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": None, "TERM": "dumb"}, False),
    ):
        with desk.person(approval.code, env=dict(env)) as person:
            person.expect("once.*waiting: ")
            assert ("\x1b[32m  | +new\x1b[0m" in person.text) is coloured
            assert ("\x1b" in person.text) is coloured


@pytest.mark.parametrize("arguments", [("--watch",), ("CODE",)])
@pytest.mark.parametrize("typed", ["", "approve\n", "y\n"])
def test_without_a_terminal_nobody_is_asked_and_nothing_is_answered(
    desk: Desk, arguments: tuple[str, ...], typed: str
) -> None:
    approval = desk.park()
    done = desk.run(*(approval.code if item == "CODE" else item for item in arguments), typed=typed)
    assert done.returncode == 2
    assert "there is no terminal to ask a person on, so nothing was answered" in done.stderr
    assert "--yes or --no" in done.stderr
    assert desk.state_of(approval) == "parked"


def test_a_script_lists_and_answers(desk: Desk) -> None:
    first, second = desk.park(), desk.park("c")
    listed = desk.run()
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[:2]] == [first.code, second.code]
    assert desk.run(first.code, "--yes").returncode == 0
    assert desk.run(second.code, "--no").returncode == 0
    assert (desk.state_of(first), desk.state_of(second)) == ("approved", "declined")
    again = desk.run(first.code, "--yes")
    assert again.returncode == 1
    assert "No call waits under" in again.stderr
    # A code that was copied from somewhere may be anything.
    odd = desk.run("x\x1b[2J\u202e" + "y" * 500, "--no")
    assert odd.returncode == 1
    assert not set(odd.stderr) & set("\x1b\u202e")
    assert len(odd.stderr) < 300
    assert "Nothing waits for approval." in desk.run().stdout


@pytest.mark.parametrize(
    "wrong", [("--yes", "--no", "X"), ("--yes",), ("--no",), ("--watch", "X"), ("--watch", "--yes"), ("a", "b")]
)
def test_a_wrong_command_line_ends_with_2(desk: Desk, wrong: tuple[str, ...]) -> None:
    done = desk.run(*wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_call_is_chosen_from_the_list_which_keeps_up(desk: Desk) -> None:
    first = desk.park("b1", effect="It changes. Asked because: default\n\n-old")
    with desk.person() as person:
        person.expect(rf"  1  {first.code}  \d:\d\d left  drop_item of the toy server, by os-user:1000\n")
        person.expect("     It changes. Asked because: default\n")
        person.expect("Enter to leave: ")
        second = desk.park("b2", effect="second")
        person.expect("Meanwhile:\n")
        person.expect(rf"  2  {second.code}")
        person.expect("Enter to leave: ")
        person.type("99")
        person.expect("No call waits under 99")
        person.expect("Enter to leave: ")
        person.type("2")
        person.expect(r"  \| second\n")
        person.expect(ASKED)
        person.type("deny")
        person.expect("Declined")
        person.expect("Enter to leave: ")
        person.type(first.code.lower())
        person.expect(ASKED)
        person.type("approve")
        person.expect("Nothing waits for approval.")
        assert person.ended() == 0
    assert (desk.state_of(first), desk.state_of(second)) == ("approved", "declined")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE approvals SET state = 'approved' WHERE code = ?", "Too late: it was approved elsewhere meanwhile."),
        ("UPDATE approvals SET state = 'declined' WHERE code = ?", "Too late: it was declined elsewhere meanwhile."),
        (
            "UPDATE approvals SET state = 'used' WHERE code = ?",
            "Too late: it was answered elsewhere meanwhile, and its",
        ),
        ("UPDATE approvals SET expires = 5 WHERE code = ?", "It doesn't wait any more"),
        ("DELETE FROM approvals WHERE code = ?", "It doesn't wait any more: .* or it was taken back."),
    ],
)
def test_a_question_that_has_become_pointless_ends_and_says_why(desk: Desk, statement: str, told: str) -> None:
    approval = desk.park()
    with desk.person(approval.code) as person:
        person.expect(ASKED)
        desk.sql(statement, approval.code)
        person.expect(told)
        assert person.ended() == 1


def test_a_call_that_expires_before_the_persons_eyes_is_said_to_have_expired(desk: Desk) -> None:
    approval = desk.park()
    desk.sql("UPDATE approvals SET expires = ? WHERE code = ?", time.time() + 3, approval.code)
    with desk.person(approval.code) as person:
        person.expect(ASKED)
        person.expect("Too late: it has expired, and nothing was done")
        assert person.ended() == 1


def test_of_two_people_one_answers_and_the_other_is_told(desk: Desk) -> None:
    for number in range(4):
        approval = desk.park(f"b{number}")
        with desk.person(approval.code) as one, desk.person(approval.code) as other:
            for person in (one, other):
                person.expect(ASKED)
            gate = threading.Barrier(2)

            def answer(person: Typist, word: str, gate: threading.Barrier = gate) -> None:
                gate.wait(30)
                person.type(word)

            threads = [threading.Thread(target=answer, args=item) for item in ((one, "approve"), (other, "deny"))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            codes = (one.ended(), other.ended())
            state = desk.state_of(approval)
            assert sorted(codes) == [0, 1]
            assert state == ("approved" if codes[0] == 0 else "declined")
            loser = other if codes[0] == 0 else one
            assert f"Too late: it was {state} elsewhere meanwhile." in loser.text


def test_a_call_that_was_left_is_not_asked_about_again_until_its_code_is_typed(desk: Desk) -> None:
    approval = desk.park()
    with desk.person("--watch") as person:
        person.expect(ASKED)
        person.type("")
        person.expect(rf"Left waiting: {approval.code}\. Type a code to see it again\.")
        other = desk.park("c", effect="other")
        person.expect(r"  \| other")
        person.expect(ASKED)
        person.type("deny")
        person.expect("Left waiting")
        person.type(approval.code)
        person.expect(ASKED)
        person.type("approve")
        person.expect("Approved, once")
        person.type("q")
        assert person.ended() == 0
    assert (desk.state_of(approval), desk.state_of(other)) == ("approved", "declined")


def test_a_watch_begins_before_any_server_has_kept_anything(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    with Typist([*COMMAND, "--watch", "--state-dir", str(state)], PLAIN) as person:
        person.expect("Watching")
        desk = Desk(tmp_path / "new")
        approval = desk.park()
        person.expect(ASKED)
        person.type("approve")
        person.expect("Approved")
        assert desk.state_of(approval) == "approved"
    assert os.stat(state / "approvals.sqlite").st_mode & 0o777 == 0o600


def test_nothing_is_asked_where_nothing_waits(desk: Desk) -> None:
    with desk.person() as person:
        person.expect("Nothing waits for approval.")
        assert person.ended() == 0
    with desk.person("BCDF-2345") as person:
        person.expect("No call waits under BCDF-2345")
        assert person.ended() == 1


def test_the_sdk_is_not_imported_for_it(desk: Desk) -> None:
    program = (
        "import sys; from gatelodge_core.cli.__main__ import main; "
        f"main(['approve', '--state-dir', {str(desk.state)!r}]); print([name for name in ('mcp', 'starlette', 'redis') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
