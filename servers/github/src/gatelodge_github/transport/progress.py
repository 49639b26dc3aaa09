"""How far a request got, which decides whether it may be repeated and what is said when it fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Written by the thread that sends, read by the task that waits, also after it has given up.

    Args:
        sent: Whether the request may have reached GitHub.
        fed: Whether a sink has taken a part of the answer.
    """

    sent: bool = False
    fed: bool = False


class Lost(Exception):
    """The connection failed, or the answer did not come in time.

    Args:
        sent: Whether the request may have reached GitHub.
        late: Whether time ran out.
        why: What happened, as the beginning of a sentence, where it is neither of these.
    """

    def __init__(self, *, sent: bool, late: bool = False, why: str = "") -> None:
        why = why or ("no answer came in time" if late else "the connection was lost")
        super().__init__(why)
        self.sent, self.late, self.why = sent, late, why
