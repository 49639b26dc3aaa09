"""The channel of one message: asking the person through the host, in both eras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from gatelodge_core.labels import current, labelled

PREFIX = "gatelodge-confirm:"
"""Marks our own request state; a tool may have questions, and states, of its own."""
QUESTION = "gatelodge_confirm"
ASK_SECONDS = 120.0
# No fields: accepting is the yes, and hosts show it as one button.
_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}


class MessageChannel:
    """A channel over one message of the SDK.

    Args:
        ctx: The SDK's context of the message.
    """

    def __init__(self, ctx: ServerRequestContext[Any, Any]) -> None:
        self._ctx = ctx
        self.retries = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def can_ask(self) -> bool:
        """A bare ``elicitation: {}`` counts as able to show forms; one that names URLs alone doesn't."""
        capabilities = self._ctx.session.client_capabilities
        elicitation = capabilities.elicitation if capabilities else None
        return bool(elicitation and (elicitation.form is not None or elicitation.url is None))

    @property
    def answer(self) -> tuple[str, bool] | None:
        """The nonce of our question and the answer; the SDK has unsealed the state, bound to this very call."""
        params = self._ctx.params or {}
        state = params.get("requestState")
        if not isinstance(state, str) or not state.startswith(PREFIX):
            return None
        responses: object = params.get("inputResponses")
        given: object = cast("Mapping[str, Any]", responses).get(QUESTION) if isinstance(responses, Mapping) else None
        action: object = cast("Mapping[str, Any]", given).get("action") if isinstance(given, Mapping) else None
        return state.removeprefix(PREFIX), action == "accept"

    def without_answer(self) -> Mapping[str, Any] | None:
        """The message's parameters without our question's state and answer, which are not the tool's."""
        params = self._ctx.params
        if params is None or self.answer is None:
            return params
        return {key: value for key, value in params.items() if key not in ("requestState", "inputResponses")}

    def question(self, message: str, nonce: str) -> dict[str, Any]:
        """An ``input_required`` result; the SDK seals its state on the way out."""
        result = InputRequiredResult(
            input_requests={
                QUESTION: ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=_SCHEMA))
            },
            request_state=PREFIX + nonce,
        )
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    async def ask(self, message: str) -> bool:
        """Elicit over the live connection, under a deadline; no answer, an error, or what is no answer, is a no."""
        try:
            with anyio.fail_after(ASK_SECONDS):
                # Without the related id the question goes to a stream that may not be open.
                found = await self._ctx.session.elicit_form(message, _SCHEMA, related_request_id=self._ctx.request_id)
        except (TimeoutError, MCPError, ValidationError):
            return False
        return found.action == "accept"

    def refusal(self, text: str) -> dict[str, Any]:
        """An ``isError`` result; a result made here owns its whole envelope.

        Its label is the call's: it can tell of what was looked at, as a policy's reason or a time that ran out does.
        """
        result = labelled({"content": [{"type": "text", "text": text}], "isError": True}, current())
        return {**result, "resultType": "complete"} if self.retries else result
