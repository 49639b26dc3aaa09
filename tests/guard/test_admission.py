"""Calls are made if and only if scope, policy and, where asked for, a human allow it: every tool, verdict and scope."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import DESTROY, READ, Effect, Nature, Rule
from gatelodge_core.guard.admission import AdmissionStep, binding, plain_effect
from gatelodge_core.guard.call import Call, Doubt, Outcome, Subject
from gatelodge_core.guard.limits import Limits, LimitStep
from gatelodge_core.guard.policy import Policy, PolicyRule
from gatelodge_core.keeper import no_subjects
from gatelodge_core.store import approvals as approvals_module
from gatelodge_core.store.approvals import Approvals
from gatelodge_core.store.approving import LocalApprovals
from gatelodge_core.store.errors import StoreError
from gatelodge_filesystem.server import OFFERED
from mcp.shared.exceptions import MCPError

from tests.support.toy import toy


class FakeHost:
    """A host that answers, or can't."""

    def __init__(
        self, *, can_ask: bool, retries: bool, says: bool = False, answer: tuple[str, bool] | None = None
    ) -> None:
        self.can_ask = can_ask
        self.retries = retries
        self.says = says
        self.answer = answer
        self.shown: list[str] = []

    def question(self, message: str, nonce: str) -> dict[str, Any]:
        self.shown.append(message)
        return {"resultType": "input_required", "nonce": nonce}

    async def ask(self, message: str) -> bool:
        self.shown.append(message)
        return self.says

    def refusal(self, text: str) -> dict[str, Any]:
        return {"isError": True, "text": text}


def call(
    effect: Effect = DESTROY,
    host: FakeHost | None = None,
    arguments: Mapping[str, Any] | None = None,
    principal: Principal = Principal("os-user", "1"),  # noqa: B008 - frozen
    name: str = "drop_item",
    server: str = "toy",
) -> Call:
    nature = Nature(effect)
    return Call(
        "tool", name, arguments or {"key": "a"}, nature, nature.scope(server), principal, "stdio", "2025-11-25", 1, {},
        host or FakeHost(can_ask=False, retries=False), name,
    )  # fmt: skip


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return Approvals(str(tmp_path / "state" / "approvals.sqlite"))


def walk(approvals: Approvals, asked: Call, rules: Policy | None = None, server: str = "toy") -> tuple[bool, Outcome]:
    """Whether the tool ran, and the outcome."""
    ran: list[bool] = []

    async def tool(_: Call) -> Outcome:
        ran.append(True)
        return Outcome({"content": []})

    async def main() -> Outcome:
        step = AdmissionStep(server, rules or Policy(), LocalApprovals(approvals), no_subjects, plain_effect)
        return await step(asked, tool)

    outcome = anyio.run(main)
    return bool(ran), outcome


def text(outcome: Outcome) -> str:
    return str(outcome.result.get("text", ""))


TOOLS = {f"{server}:{name}": (server, tool) for server, offers in (("toy", toy), ("filesystem", OFFERED))
         for name, tool in offers.tools.items()}  # fmt: skip
LEVELS = ("read", "write", "destroy")


@pytest.mark.parametrize("named", TOOLS)
@pytest.mark.parametrize("then", [None, *Rule])
def test_every_tool_runs_if_and_only_if_scope_and_policy_allow_it(
    approvals: Approvals, named: str, then: Rule | None
) -> None:
    server, tool = TOOLS[named]
    nature = tool.nature
    rules = Policy((PolicyRule(then, tool=tool.name),) if then else ())
    verdict = then or nature.default_rule
    others = [f"{other}:destroy" for other in ("toy", "filesystem", "github") if other != server]
    for size in range(4):
        for levels in itertools.combinations(LEVELS, size):
            granted = frozenset([*(f"{server}:{level}" for level in levels), *others])
            enough = any(LEVELS.index(level) >= LEVELS.index(str(nature.effect)) for level in levels)
            asked = call(nature.effect, principal=Principal("key", "k", granted), name=tool.name, server=server)
            ran, outcome = walk(approvals, asked, rules, server)
            assert ran is (enough and verdict is Rule.ALLOW)
            assert outcome.failed is not ran
            assert ("insufficient_scope" in text(outcome)) is not enough


def code_of(outcome: Outcome) -> str:
    return text(outcome).split("gatelodge approve ")[1].split(" ")[0]


def test_a_host_that_cannot_ask_gets_a_code_and_the_retry_runs_once(approvals: Approvals) -> None:
    ran, outcome = walk(approvals, call())
    assert not ran
    code = code_of(outcome)
    assert code_of(walk(approvals, call())[1]) == code
    assert approvals.decide(code, approved=True)
    assert walk(approvals, call())[0]
    ran, again = walk(approvals, call())
    assert not ran
    assert code_of(again) != code


def test_an_approval_is_of_exactly_one_call(approvals: Approvals) -> None:
    approvals.decide(code_of(walk(approvals, call(arguments={"key": "a"}))[1]), approved=True)
    others = [
        call(arguments={"key": "b"}),
        call(arguments={"key": "a", "force": True}),
        call(arguments={"key": "A"}),
        call(principal=Principal("os-user", "2")),
        call(name="drop_all"),
    ]
    for other in others:
        assert binding(other, "toy") != binding(call(), "toy")
        assert not walk(approvals, other)[0]
    assert binding(call(), "other") != binding(call(), "toy")
    assert walk(approvals, call())[0]


def test_a_declined_call_is_refused_once_and_then_asked_for_anew(approvals: Approvals) -> None:
    code = code_of(walk(approvals, call())[1])
    assert approvals.decide(code, approved=False)
    ran, outcome = walk(approvals, call())
    assert not ran
    assert "declined" in text(outcome)
    assert "approval_required" in text(walk(approvals, call())[1])


def test_an_approval_expires(approvals: Approvals, monkeypatch: pytest.MonkeyPatch) -> None:
    code = code_of(walk(approvals, call())[1])
    assert approvals.decide(code, approved=True)
    later = time.time() + approvals_module.TTL_SECONDS + 1
    monkeypatch.setattr("gatelodge_core.store.approvals.time.time", lambda: later)
    ran, outcome = walk(approvals, call())
    assert not ran
    assert code_of(outcome) != code
    assert not approvals.decide(code, approved=True)


def test_an_approval_is_used_once_by_many_at_once(approvals: Approvals) -> None:
    approvals.decide(code_of(walk(approvals, call())[1]), approved=True)
    used: list[object] = []

    def contend() -> None:
        # A connection of its own, as another process would have.
        used.append(Approvals(approvals.path).spend(binding(call(), "toy")))

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, used)) == ["None"] * 7 + ["approved"]


@pytest.mark.parametrize("says", [True, False])
def test_a_host_of_the_2025_revisions_is_asked_and_obeyed(approvals: Approvals, says: bool) -> None:
    host = FakeHost(can_ask=True, retries=False, says=says)
    ran, outcome = walk(approvals, call(host=host))
    assert ran is says
    assert '"key": "a"' in host.shown[0]
    if not says:
        assert "declined" in text(outcome)


def test_a_host_of_2026_is_given_a_question_and_its_answer_counts_once(approvals: Approvals) -> None:
    ran, outcome = walk(approvals, call(host=FakeHost(can_ask=True, retries=True)))
    assert not ran
    nonce = outcome.result["nonce"]
    assert walk(approvals, call(host=FakeHost(can_ask=True, retries=True, answer=(nonce, True))))[0]
    ran, replayed = walk(approvals, call(host=FakeHost(can_ask=True, retries=True, answer=(nonce, True))))
    assert not ran
    assert "already_answered" in text(replayed)


def test_a_no_of_2026_is_a_no(approvals: Approvals) -> None:
    assert not walk(approvals, call(host=FakeHost(can_ask=True, retries=True, answer=("n", False))))[0]


def test_what_a_person_reads_holds_no_control_characters(approvals: Approvals) -> None:
    host = FakeHost(can_ask=True, retries=False)
    walk(approvals, call(host=host, arguments={"key": "a\x1b[2Jb\u202ec"}))
    assert "\x1b" not in host.shown[0]
    assert "\u202e" not in host.shown[0]


def test_who_approves_is_told_what_kind_of_call_it_is_why_they_are_asked_and_that_something_was_cut(
    approvals: Approvals,
) -> None:
    walk(approvals, call(arguments={"key": "k" * (approvals_module.MAX_EFFECT + 1)}))
    (parked,) = approvals.parked()
    assert parked.effect.startswith("It destroys. Asked because: default for destroy\n\ndrop_item {")
    whole = approvals.waiting(parked.code)
    assert whole is not None
    assert len(whole.effect) <= approvals_module.MAX_EFFECT
    assert whole.effect.rsplit("\n", 1)[1].startswith("... cut; the whole is 2000")


def test_a_flood_of_parked_calls_is_bounded(approvals: Approvals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals_module, "MAX_OPEN", 3)
    for number in range(3):
        assert "gatelodge approve" in text(walk(approvals, call(arguments={"key": str(number)}))[1])
    assert "approvals_unavailable" in text(walk(approvals, call(arguments={"key": "more"}))[1])


def test_without_its_store_a_call_that_needs_a_yes_is_refused(approvals: Approvals, tmp_path: Path) -> None:
    Path(approvals.path).write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    for leftover in (tmp_path / "state").glob("*-wal"):
        leftover.unlink()
    with pytest.raises(Exception, match="approvals_unavailable"):
        walk(approvals, call())
    assert walk(approvals, call(READ))[0]
    with pytest.raises(StoreError):
        Approvals(str(tmp_path / "state" / "approvals.sqlite"))


def test_the_store_is_for_its_owner_alone(approvals: Approvals) -> None:
    assert Path(approvals.path).stat().st_mode & 0o077 == 0


def test_a_code_is_not_guessable_and_easy_to_read(approvals: Approvals) -> None:
    del approvals
    codes = {approvals_module.new_code() for _ in range(2000)}
    assert len(codes) == 2000
    assert all(len(code) == 9 and not set("AEIOUY01") & set(code) for code in codes)


def doubted(approvals: Approvals, asked: Call, doubts: list[Doubt], *rules: PolicyRule) -> tuple[bool, str]:
    """Whether a call ran that the server has doubts about, and the refusal."""
    ran: list[bool] = []

    async def tool(_: Call) -> Outcome:
        ran.append(True)
        return Outcome({"content": []})

    async def found(_: Call) -> list[Doubt]:
        return doubts

    async def main() -> Outcome:
        step = AdmissionStep("toy", Policy(rules), LocalApprovals(approvals), no_subjects, plain_effect, doubts=found)
        return await step(asked, tool)

    outcome = anyio.run(main)
    return bool(ran), text(outcome)


UNKNOWN = Doubt(Rule.CONFIRM, "Nobody named evil.example.com.", Subject("evil.example.com"))


def test_a_doubt_makes_a_call_stricter_and_never_laxer(approvals: Approvals) -> None:
    for default, doubt, verdict in itertools.product((READ, DESTROY), Rule, (None, *Rule)):
        rules = (PolicyRule(verdict, tool="drop_item"),) if verdict else ()
        ran, refusal = doubted(approvals, call(default), [Doubt(doubt, "The server minds.")], *rules)
        before = verdict or (Rule.ALLOW if default is READ else Rule.CONFIRM)
        assert ran is (before is Rule.ALLOW and doubt is Rule.ALLOW)
        denied = Rule.DENY in (before, doubt)
        assert ("denied_by_policy" in refusal) is denied
        assert ("approval_required" in refusal) is (not denied and Rule.CONFIRM in (before, doubt))


def test_a_call_in_doubt_is_asked_about_with_every_reason_and_runs_once_approved(approvals: Approvals) -> None:
    doubts = [UNKNOWN, Doubt(Rule.CONFIRM, "It is long."), Doubt(Rule.ALLOW, "It is fine.")]
    ran, refusal = doubted(approvals, call(READ), doubts)
    assert not ran
    assert "Nobody named evil.example.com. It is long." in refusal
    assert approvals.decide(refusal.split("gatelodge approve ")[1].split(" ")[0], approved=True)
    assert doubted(approvals, call(READ), doubts)[0]
    assert not doubted(approvals, call(READ), doubts)[0]
    host = FakeHost(can_ask=True, retries=False, says=True)
    assert doubted(approvals, call(READ, host=host), doubts)[0]
    assert "Nobody named evil.example.com. It is long." in host.shown[0]


@pytest.mark.parametrize(
    ("rules", "settled"),
    [
        ([PolicyRule(Rule.ALLOW, subject="evil.example.com")], True),
        ([PolicyRule(Rule.ALLOW, subject="*.example.com/**")], True),
        ([PolicyRule(Rule.ALLOW)], False),
        ([PolicyRule(Rule.ALLOW, tool="drop_item")], False),
        ([PolicyRule(Rule.ALLOW, subject="good.example.com")], False),
        ([PolicyRule(Rule.ALLOW, subject="evil.example.com", tool="other")], False),
        ([PolicyRule(Rule.ALLOW, subject="evil.example.com", principal="key:*")], False),
        ([PolicyRule(Rule.CONFIRM, subject="evil.example.com")], False),
    ],
)
def test_only_a_rule_that_allows_a_subject_by_name_settles_a_doubt_about_it(
    approvals: Approvals, rules: list[PolicyRule], settled: bool
) -> None:
    assert doubted(approvals, call(READ), [UNKNOWN], *rules)[0] is settled
    # One that is settled takes no other along.
    other = Doubt(Rule.CONFIRM, "Nobody named worse.example.org.", Subject("worse.example.org"))
    assert not doubted(approvals, call(READ), [UNKNOWN, other], *rules)[0]
    assert not doubted(approvals, call(READ), [Doubt(Rule.CONFIRM, "Whatever.")], *rules)[0]


def test_a_name_in_a_question_cannot_pose_as_ours(approvals: Approvals) -> None:
    host = FakeHost(can_ask=True, retries=False)
    name = "fs://other/a.txt\u202e\x1b[31m to read notes, which is public.\n\nThe person has asked for it" + "x" * 1000
    asked = replace(call(host=host, name=name), kind="resource", target="file")
    with pytest.raises(MCPError, match="declined"):
        walk(approvals, asked)
    first = host.shown[0].partition("\n")[0]
    assert "\x1b" not in host.shown[0]
    assert "\u202e" not in host.shown[0]
    # Ours goes on in the first line, behind what is left of theirs.
    assert first.endswith(" asks to do this (default for destroy):")
    assert len(first) < 300


def test_a_persons_time_is_not_the_calls(approvals: Approvals) -> None:
    class Slow(FakeHost):
        async def ask(self, message: str) -> bool:
            await anyio.sleep(1.5)
            return await super().ask(message)

    host = Slow(can_ask=True, retries=False, says=True)
    step = AdmissionStep("toy", Policy(), LocalApprovals(approvals), no_subjects, plain_effect)

    async def quick(_: Call) -> Outcome:
        await anyio.sleep(0.01)
        return Outcome({"content": []})

    async def endless(_: Call) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    async def main() -> None:
        limited = LimitStep(Limits(seconds=1))
        assert not (await limited(call(host=host), lambda asked: step(asked, quick))).failed
        # What was approved has its whole time, and no more.
        late = await limited(call(host=host), lambda asked: step(asked, endless))
        assert text(late).startswith("timeout: ")

    anyio.run(main)
    assert len(host.shown) == 2


def test_answers_that_can_not_come_again_are_forgotten(approvals: Approvals, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("gatelodge_core.store.approvals.time.time", lambda: now)
    for number in range(20):
        now += 3600
        assert approvals.spend_once(f"n{number}")
        assert not approvals.spend_once(f"n{number}")
    with sqlite3.connect(approvals.path) as connection:
        assert connection.execute("SELECT count(*) FROM approvals").fetchone() == (1,)
