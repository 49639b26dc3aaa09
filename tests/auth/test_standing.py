"""Streams whose caller's credential is taken back meanwhile."""

from __future__ import annotations

import anyio
from gatelodge_core.auth.model import Unauthenticated
from gatelodge_core.auth.standing import AGAIN_SECONDS, standing
from starlette.types import Message


class Line:
    """A connection's end, a clock, and a judge that says what it is told to."""

    def __init__(self, *, news: bool = False) -> None:
        self.sent: list[Message] = []
        self.now = 0.0
        self.judged = 0
        self.verdict: Unauthenticated | None = None
        self.send = standing(self._take, self._judge, lambda: self.now, news=news)

    async def _take(self, message: Message) -> None:
        self.sent.append(message)

    async def _judge(self) -> None:
        self.judged += 1
        if self.verdict is not None:
            raise self.verdict

    def say(self, *parts: bytes, more: bool = True) -> list[bytes]:
        async def main() -> None:
            for part in parts:
                await self.send({"type": "http.response.body", "body": part, "more_body": more})

        anyio.run(main)
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]


REVOKED = Unauthenticated("revoked", withdrawn=True)


def test_the_first_part_goes_whatever_has_become_of_the_caller() -> None:
    line = Line()
    line.now, line.verdict = 60.0, REVOKED
    assert line.say(b"the whole", more=False) == [b"the whole"]
    assert line.judged == 0


def test_a_later_part_does_not_go_and_the_answer_is_ended_once() -> None:
    line = Line()
    line.say(b"one")
    line.now, line.verdict = AGAIN_SECONDS, REVOKED
    assert line.say(b"two", b"three", b"four") == [b"one", b""]
    assert line.sent[-1]["more_body"] is False


def test_a_caller_is_judged_again_once_a_second_at_most() -> None:
    line = Line()
    for _ in range(100):
        line.say(b"x")
        line.now += AGAIN_SECONDS / 20
    assert line.judged == 4
    assert len(line.sent) == 100


def test_neither_an_end_by_time_nor_a_judge_out_of_reach_cuts_an_answer() -> None:
    line = Line()
    line.say(b"one")
    for verdict in (Unauthenticated("expired"), Unauthenticated("later", unavailable=2)):
        line.now, line.verdict = line.now + AGAIN_SECONDS, verdict
        line.say(b"more")
    assert [message["body"] for message in line.sent] == [b"one", b"more", b"more"]
    assert line.judged == 2


def test_a_stream_of_news_ends_with_its_credentials_time_and_not_for_a_judge_out_of_reach() -> None:
    line = Line(news=True)
    line.say(b"one")
    for verdict in (Unauthenticated("later", unavailable=2), Unauthenticated("expired")):
        line.now, line.verdict = line.now + AGAIN_SECONDS, verdict
        line.say(b"more")
    assert [message["body"] for message in line.sent] == [b"one", b"more", b""]
