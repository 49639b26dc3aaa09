"""Drivers of hosts: each starts the real program, in an empty home, with one server, and lets it do everything it can.

Where the host waits for a model, the model is `_scripted`: it asks for the call of a tool, then for a resource. The
person's words are a prompt of the server's, by the host's own command for it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients._hosts import PACKAGES, Client
from tests.clients._scripted import Call, Script, playing
from tests.clients._stages import Stage
from tests.clients._told import Told
from tests.clients.facts import CLIENTS
from tests.clients.install import find_node

Json = dict[str, Any]


def _write(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _entry(stage: Stage, **more: object) -> Json:
    return {stage.name: {"command": stage.command[0], "args": stage.command[1:], **more}}


def _told(script: Script, stage: Stage, prompts: bool = True) -> Told:
    """What a host told the scripted model; `prompts` if the person's words were a prompt of the server's."""
    reads = len(script.calls) > 1
    return Told(
        tools=script.tools(stage.name, stage.tools),
        called=script.results.get(0, ""),
        read=script.results.get(1, "") if reads else None,
        prompted="\n".join(script.said) if prompts else None,
    )


def claude_code(client: Client, stage: Stage) -> Told:
    """Claude Code, printing; the prompt is a slash command."""
    script = Script(
        [
            Call(stage.tool, stage.arguments, stage.name),
            Call("ReadMcpResourceTool", {"server": stage.name, "uri": stage.uri}),
        ]
    )
    config = client.home / "servers.json"
    _write(config, {"mcpServers": _entry(stage)})
    with playing(script, client.island.listener()) as url:
        # Otherwise tools are found by a search of the model's.
        client.environment |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none", "ENABLE_TOOL_SEARCH": "false"}
        (words,) = stage.given.values()
        ended = client.package(
            "@anthropic-ai/claude-code", "cli-wrapper.cjs",
            "-p", f"/mcp__{stage.name}__{stage.prompt} {words}",
            "--mcp-config", str(config), "--strict-mcp-config", "--output-format", "json",
            f"--allowedTools=mcp__{stage.name},ReadMcpResourceTool",
        )  # fmt: skip
    assert ended.status == 0, ended
    return _told(script, stage)


def gemini(client: Client, stage: Stage) -> Told:
    """Gemini CLI, in a trusted folder."""
    settings: Json = {
        "mcpServers": _entry(stage, trust=True),
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
    }
    _write(client.home / ".gemini/settings.json", settings)
    _write(client.home / ".gemini/trustedFolders.json", {str(client.home): "TRUST_FOLDER"})
    script = Script([Call(stage.tool, stage.arguments, stage.name)])
    if stage.listed:
        script.calls.append(Call("read_mcp_resource", {"uri": stage.listed}))
    with playing(script, client.island.listener()) as url:
        client.environment |= {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "none"}
        given = " ".join(f'--{name}="{value}"' for name, value in stage.given.items())
        ended = client.package(
            "@google/gemini-cli", "bundle/gemini.js",
            "-m", "gemini-2.5-pro", "--approval-mode", "yolo", "-p", f"/{stage.prompt} {given}",
        )  # fmt: skip
    assert ended.status == 0, ended
    return _told(script, stage)


def qwen(client: Client, stage: Stage) -> Told:
    """qwen-code, with all tools offered at once instead of by a search of the model's."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NODE_USE_ENV_PROXY"):
        client.environment.pop(name, None)  # it would send even what goes to loopback through them
    settings: Json = {
        "mcpServers": _entry(stage, trust=True),
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False},
        "security": {"auth": {"selectedType": "openai"}},
    }
    _write(client.home / ".qwen/settings.json", settings)
    script = Script([Call(stage.tool, stage.arguments, stage.name)])
    with playing(script, client.island.listener()) as url:
        client.environment |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none", "OPENAI_MODEL": "scripted"}
        ended = client.package(
            "@qwen-code/qwen-code", "cli.js",
            "--exclude-tools", "tool_search", "--approval-mode", "yolo", "-p", "Go on.",
        )  # fmt: skip
    assert ended.status == 0, ended
    return _told(script, stage, prompts=False)


def opencode_program() -> str:
    """opencode itself; its package brings one for each platform, and a script would choose among them at installation."""
    machine = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return str(PACKAGES / f"node_modules/opencode-{sys.platform}-{machine}/bin/opencode")


def opencode(client: Client, stage: Stage) -> Told:
    """opencode, with a provider on loopback."""
    script = Script(
        [
            Call(stage.tool, stage.arguments, stage.name),
            Call("read_mcp_resource", {"server": stage.name, "uri": stage.uri}),
        ]
    )
    with playing(script, client.island.listener()) as url:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
            "models": {"scripted": {"tool_call": True}},
        }
        config: Json = {
            "autoupdate": False,
            "share": "disabled",
            "model": "local/scripted",
            "small_model": "local/scripted",
            "provider": {"local": provider},
            "mcp": {stage.name: {"type": "local", "command": stage.command, "enabled": True}},
        }
        _write(client.home / ".config/opencode/opencode.json", config)
        switches = (
            "MODELS_FETCH",
            "AUTOUPDATE",
            "LSP_DOWNLOAD",
            "DEFAULT_PLUGINS",
            "SHARE",
            "EXTERNAL_SKILLS",
            "CLAUDE_CODE",
        )
        client.environment |= {f"OPENCODE_DISABLE_{name}": "1" for name in switches}
        (words,) = stage.given.values()
        prompts = stage.name not in CLIENTS["opencode"].no_prompts_of
        said = ["--command", f"{stage.name}:{stage.prompt}", words] if prompts else ["Go on."]
        ended = client.run(
            [
                opencode_program(),
                "run", "--pure", "--title", "t", *said,
            ]
        )  # fmt: skip
    assert ended.status == 0, ended
    return _told(script, stage, prompts)


def codex(client: Client, stage: Stage) -> Told:
    """Codex's app-server, what its editors talk to."""
    config = client.home / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        "check_for_update_on_startup = false\n[analytics]\nenabled = false\n"
        f"[mcp_servers.{stage.name}]\ncommand = {json.dumps(stage.command[0])}\nargs = {json.dumps(stage.command[1:])}\n",
        encoding="utf-8",
    )
    command = [str(find_node().binary), str(PACKAGES / "node_modules/@openai/codex/bin/codex.js"), "app-server"]
    with client.talking(command) as process:
        ask = _asker(process)
        ask("initialize", {"clientInfo": {"name": "tests", "title": "tests", "version": "0"}})
        ask("initialized", None)
        started = ask("thread/start", {"cwd": str(client.home), "ephemeral": True, "approvalPolicy": "never"})
        thread = {"threadId": started["thread"]["id"]}
        (status,) = ask("mcpServerStatus/list", thread)["data"]
        about = {**thread, "server": stage.name}
        called = ask("mcpServer/tool/call", {**about, "tool": stage.tool, "arguments": stage.arguments})
        read = ask("mcpServer/resource/read", {**about, "uri": stage.uri})
    return Told(frozenset(status["tools"]), json.dumps(called["content"]), json.dumps(read["contents"]))


def _asker(process: subprocess.Popen[bytes]) -> Callable[[str, Json | None], Json]:
    """Asks over JSON lines, one question after another."""
    number = 0

    def ask(method: str, params: Json | None) -> Json:
        nonlocal number
        assert process.stdin is not None
        assert process.stdout is not None
        number += 1
        message: Json = {"method": method} if params is None else {"id": number, "method": method, "params": params}
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        while params is not None:
            line = process.stdout.readline()
            assert line, f"it ended before it answered {method}"
            answer = json.loads(line)
            if answer.get("id") == number and "method" not in answer:
                assert "result" in answer, answer
                return answer["result"]
        return {}

    return ask


HOSTS: dict[str, Callable[[Client, Stage], Told]] = {
    "claude-code": claude_code, "codex": codex, "gemini": gemini, "opencode": opencode, "qwen": qwen,
}  # fmt: skip
"""The drivers, by the client's name."""
