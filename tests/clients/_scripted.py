"""A model that plays a script, over the three protocols that hosts speak to models: Anthropic's, OpenAI's, Gemini's.

It lets a real host do what it does for a real model: offer the tools of its servers, carry out calls, hand results back.
Each turn it asks for the next call of the script; after the last it says that it is done. It keeps what it was
offered, what came back, and all that the person's prompts said.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What the model asks for.

    Args:
        tool: The end of the tool's name: hosts put the server's name before it, each in its own way.
        arguments: Its arguments.
        server: What the name holds besides; empty for a tool of the host itself.
    """

    tool: str
    arguments: Json
    server: str = ""

    def named(self, offered: set[str]) -> str:
        """The tool's name as the host offers it; the end alone if it doesn't, so that the host says what it thinks of it."""
        for name in sorted(offered):
            if re.search(rf"(?:^|_){re.escape(self.tool)}$", name) and self.server in name:
                return name
        return self.tool


@dataclass
class Script:
    """The calls to make, and what the host said meanwhile."""

    calls: list[Call]
    offered: set[str] = field(default_factory=set[str])
    results: dict[int, str] = field(default_factory=dict[int, str])
    said: list[str] = field(default_factory=list[str])

    def tools(self, server: str, names: frozenset[str]) -> frozenset[str]:
        """Those of `names` that were offered as tools of `server`."""
        return frozenset(name for name in names if Call(name, {}, server).named(self.offered) in self.offered)


class _Protocol:
    """How one protocol says it; `path` is a pattern of the request's path."""

    path: str

    def offered(self, body: Json) -> set[str]:
        raise NotImplementedError

    def results(self, body: Json) -> list[str]:
        raise NotImplementedError

    def words(self, body: Json) -> str:
        raise NotImplementedError

    def answer(self, name: str, arguments: Json | None, text: str, number: int, streamed: bool) -> Iterator[Json]:
        raise NotImplementedError


class _Anthropic(_Protocol):
    path = r"/v1/messages$"

    def offered(self, body: Json) -> set[str]:
        return {tool["name"] for tool in body.get("tools", [])}

    def _blocks(self, body: Json, role: str = "user") -> Iterator[Json]:
        for message in body["messages"]:
            if message["role"] == role:
                content = message["content"]
                yield from [{"type": "text", "text": content}] if isinstance(content, str) else content

    def results(self, body: Json) -> list[str]:
        return [json.dumps(block["content"]) for block in self._blocks(body) if block["type"] == "tool_result"]

    def words(self, body: Json) -> str:
        return "\n".join(block["text"] for block in self._blocks(body) if block["type"] == "text")

    def answer(self, name: str, arguments: Json | None, text: str, number: int, streamed: bool) -> Iterator[Json]:
        made = arguments is not None
        whole = (
            {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
            if made
            else {"type": "text", "text": text}
        )
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {
            "id": f"msg_{number}", "type": "message", "role": "assistant", "model": "scripted", "content": [whole],
            "stop_reason": "tool_use" if made else "end_turn", "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        if not streamed:
            yield message
            return
        yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
        yield {
            "type": "content_block_start",
            "index": 0,
            "content_block": {**whole, **({"input": {}} if made else {"text": ""})},
        }
        delta = (
            {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
            if made
            else {"type": "text_delta", "text": text}
        )
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": usage,
        }
        yield {"type": "message_stop"}


class _OpenAi(_Protocol):
    path = r"/chat/completions$"

    def offered(self, body: Json) -> set[str]:
        tools: list[Json] = body.get("tools") or []
        return {tool["function"]["name"] for tool in tools}

    def results(self, body: Json) -> list[str]:
        return [json.dumps(message["content"]) for message in body["messages"] if message["role"] == "tool"]

    def words(self, body: Json) -> str:
        return "\n".join(json.dumps(message["content"]) for message in body["messages"] if message["role"] == "user")

    def answer(self, name: str, arguments: Json | None, text: str, number: int, streamed: bool) -> Iterator[Json]:
        made = arguments is not None
        call = {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        message = (
            {"role": "assistant", "content": None, "tool_calls": [call]}
            if made
            else {"role": "assistant", "content": text}
        )
        end = "tool_calls" if made else "stop"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        common = {"id": f"chatcmpl-{number}", "created": 0, "model": "scripted"}
        if not streamed:
            yield {
                **common,
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": end}],
                "usage": usage,
            }
            return
        delta = {**message, "tool_calls": [{"index": 0, **call}]} if made else message
        chunk = {**common, "object": "chat.completion.chunk"}
        yield {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        yield {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": end}], "usage": usage}


class _Gemini(_Protocol):
    path = r":(?:stream)?[gG]enerateContent$"

    def offered(self, body: Json) -> set[str]:
        tools: list[Json] = body.get("tools") or []
        return {one["name"] for tool in tools for one in tool.get("functionDeclarations", [])}

    def _parts(self, body: Json) -> Iterator[Json]:
        for content in body["contents"]:
            if content.get("role", "user") == "user":
                yield from content["parts"]

    def results(self, body: Json) -> list[str]:
        return [
            json.dumps(part["functionResponse"]["response"]) for part in self._parts(body) if "functionResponse" in part
        ]

    def words(self, body: Json) -> str:
        return "\n".join(part["text"] for part in self._parts(body) if "text" in part)

    def answer(self, name: str, arguments: Json | None, text: str, number: int, streamed: bool) -> Iterator[Json]:
        part = {"functionCall": {"name": name, "args": arguments}} if arguments is not None else {"text": text}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        yield {
            "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage,
        }


_PROTOCOLS = (_Anthropic(), _OpenAi(), _Gemini())


def _reply(script: Script, protocol: _Protocol, body: Json, streamed: bool) -> Iterator[Json]:
    offered, results = protocol.offered(body), protocol.results(body)
    script.said.append(protocol.words(body))
    # Hosts also ask models for titles and the like: without tools there is nothing to play.
    if offered:
        script.offered |= offered
        script.results |= dict(enumerate(results))
    turn = len(results)
    if offered and turn < len(script.calls):
        call = script.calls[turn]
        return protocol.answer(call.named(offered), call.arguments, "", turn, streamed)
    return protocol.answer("", None, "The script is done.", turn, streamed)


def _handler(script: Script) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = self.path.partition("?")[0]
            protocol = next((one for one in _PROTOCOLS if re.search(one.path, path)), None)
            if protocol is None:
                self._send(
                    404, "application/json", b'{"error": {"type": "not_found_error", "message": "no such path"}}'
                )
                return
            streamed = bool(body.get("stream")) or "stream" in path
            events = list(_reply(script, protocol, body, streamed))
            if not streamed:
                self._send(200, "application/json", json.dumps(events[0]).encode())
                return
            lines = [
                (f"event: {one['type']}\n" if "type" in one else "") + f"data: {json.dumps(one)}\n\n" for one in events
            ]
            lines += ["data: [DONE]\n\n"] if isinstance(protocol, _OpenAi) else []
            self._send(200, "text/event-stream", "".join(lines).encode())

        def do_GET(self) -> None:
            self._send(404, "application/json", b"{}")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parameter's name is http.server's
            pass

    return Handler


@contextlib.contextmanager
def playing(script: Script, listening: socket.socket) -> Generator[str]:
    """The model on a listening socket; its base URL."""
    with listening:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(script), bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
