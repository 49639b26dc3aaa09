"""``gatelodge --completion bash|zsh|fish``: what a shell needs to complete commands, options and their values.

The words come from the parsers of the commands themselves, so that nothing is told twice.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast
from unittest import mock

SHELLS = ("bash", "zsh", "fish")
USAGE = 2
FILES = ("FILE", "FOLDER", "DIR", "DIRECTORY", "PATH")
"""What an option's value is called if it is a file or folder."""


@dataclass(slots=True)
class Words:
    """What can follow a command.

    Args:
        options: Options with their help.
        values: Options that take a value: what can follow; empty for anything, None for files.
        commands: Subcommands with their help.
        arguments: Words that can stand by themselves.
    """

    options: dict[str, str] = field(default_factory=dict[str, str])
    values: dict[str, list[str] | None] = field(default_factory=dict[str, "list[str] | None"])
    commands: dict[str, str] = field(default_factory=dict[str, str])
    arguments: list[str] = field(default_factory=list[str])


def run(argv: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> int:
    """Print the script for a shell; 2 for an unknown shell.

    Args:
        argv: The shell's name.
        commands: Module and help of each command.
    """
    if len(argv) != 1 or argv[0] not in SHELLS:
        print(f"gatelodge --completion: name one shell: {', '.join(SHELLS)}", file=sys.stderr)
        return USAGE
    table = words(commands)
    print({"bash": bash, "zsh": zsh, "fish": fish}[argv[0]](table), end="")
    return 0


def words(commands: Mapping[str, tuple[str, str]]) -> dict[str, Words]:
    """What can follow each command, by its words with spaces between; the first is the empty one."""
    first = Words(
        {"--help": "Show help.", "--version": "Show the version.", "--completion": "Print completions for a shell."},
        {"--completion": list(SHELLS)},
        {name: text for name, (_, text) in sorted(commands.items())},
    )
    table = {"": first}
    for name in first.commands:
        for path, parser in _walk(name, parser_of(commands[name][0])):
            table[path] = _words(parser)
    return table


class _Caught(Exception):
    """Carries a parser out of a command that was about to use it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser of a command: its own `parser`, or the one that its `run` makes first.

    Raises:
        LookupError: It has none.
    """
    found = importlib.import_module(module)
    if hasattr(found, "parser"):
        return cast("argparse.ArgumentParser", found.parser())

    def catch(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise _Caught(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", catch):
        try:
            found.run([])
        except _Caught as caught:
            return caught.parser
    raise LookupError(f"{module} has no parser")


def _walk(path: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for action in _actions(parser):
        for name, inner in _inner(action).items():
            yield from _walk(f"{path} {name}", inner)


def _inner(action: argparse.Action) -> dict[str, argparse.ArgumentParser]:
    """The parsers of subcommands; the action that holds them has no public name."""
    choices: object = action.choices
    table = cast("dict[str, object]", choices) if isinstance(choices, dict) else {}
    return {name: parser for name, parser in table.items() if isinstance(parser, argparse.ArgumentParser)}


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return list(parser._actions)


def _words(parser: argparse.ArgumentParser) -> Words:
    found = Words()
    for action in _actions(parser):
        choices = [choice for choice in action.choices or () if isinstance(choice, str)]
        if inner := _inner(action):
            found.commands = {name: parser.description or "" for name, parser in inner.items()}
        elif action.option_strings:
            text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help).replace("%%", "%")
            for option in action.option_strings:
                if option.startswith("--"):
                    found.options[option] = text
                    if action.nargs != 0:
                        found.values[option] = None if _takes_file(action) else choices
        else:
            found.arguments += [choice for choice in choices if choice not in found.arguments]
    return found


def _takes_file(action: argparse.Action) -> bool:
    return str(action.metavar).upper() in FILES or any(
        option.endswith(("-dir", "-file")) for option in action.option_strings
    )


_FIND = """\
  local at="" word i
  for ((i = {first}; i < {last}; i++)); do
    word=${{words[i]}}
    case "${{at:+$at }}$word" in
{cases}
    esac
  done
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _cases(table: Mapping[str, Words], indent: str) -> str:
    """Shell cases that follow the words typed so far down to a command."""
    paths = [path for path in table if path]
    return "\n".join(f"{indent}{_quoted(path)}) at={_quoted(path)} ;;" for path in paths)


def bash(table: Mapping[str, Words]) -> str:
    """The script for bash (4 or newer; 3.2 of macOS also runs it)."""
    lines = ["# Completions for gatelodge; put this into ~/.local/share/bash-completion/completions/gatelodge", "_gatelodge() {"]  # fmt: skip
    lines += [
        '  local words=("${COMP_WORDS[@]}") cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} reply="" files=""'
    ]
    lines += [_FIND.format(first=1, last="COMP_CWORD", cases=_cases(table, "      ")).rstrip("\n")]
    lines += ['  case "$at|$prev" in']
    for path, item in table.items():
        for option, values in item.values.items():
            reply = "files=yes" if values is None else f"reply={_quoted(' '.join(values))}"
            lines.append(f"    {_quoted(f'{path}|{option}')}) {reply} ;;")
    lines += ["    *)", '      case "$at" in']
    for path, item in table.items():
        every = " ".join([*item.commands, *item.arguments, *item.options])
        lines.append(f"        {_quoted(path)}) reply={_quoted(every)} ;;")
    lines += ["      esac ;;", "  esac"]
    # Names may have spaces.
    lines += [
        '  if [ -n "$files" ]; then local IFS=$\'\\n\'; COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null'
    ]
    lines += ['  else COMPREPLY=($(compgen -W "$reply" -- "$cur")); fi', "}", "complete -F _gatelodge gatelodge", ""]
    return "\n".join(lines)


def zsh(table: Mapping[str, Words]) -> str:
    """The script for zsh."""
    lines = ["#compdef gatelodge", "# Completions for gatelodge; put this into a folder of $fpath as _gatelodge", "_gatelodge() {"]  # fmt: skip
    # Not `path`, which is zsh's PATH.
    lines += [_FIND.format(first=2, last="CURRENT", cases=_cases(table, "      ")).rstrip("\n")]
    lines += ['  case "$at|${words[CURRENT-1]}" in']
    for path, item in table.items():
        for option, values in item.values.items():
            reply = "_files" if values is None else f"compadd -- {' '.join(map(_quoted, values))}" if values else ":"
            lines.append(f"    {_quoted(f'{path}|{option}')}) {reply}; return ;;")
    lines += ["  esac", "  local -a reply", '  case "$at" in']
    for path, item in table.items():
        told = {**item.commands, **dict.fromkeys(item.arguments, ""), **item.options}
        parts = [_quoted(f"{word}:{_short(text)}" if text else word) for word, text in told.items()]
        lines.append(f"    {_quoted(path)}) reply=({' '.join(parts)}) ;;")
    lines += ["  esac", "  _describe 'gatelodge' reply", "}"]
    lines += ['if [ "$funcstack[1]" = "_gatelodge" ]; then _gatelodge "$@"; else compdef _gatelodge gatelodge; fi', ""]
    return "\n".join(lines)


def fish(table: Mapping[str, Words]) -> str:
    """The script for fish."""
    lines = ["# Completions for gatelodge; put this into ~/.config/fish/completions/gatelodge.fish"]
    lines += ["function __gatelodge_at", "    set -l at ''", "    for word in (commandline -opc)[2..-1]"]
    lines += ['        set -l next (string trim -- "$at $word")', '        switch "$next"']
    lines += [f"            case {_fish(path)}; set at {_fish(path)}" for path in table if path]
    lines += ["        end", "    end", '    test "$at" = "$argv[1]"', "end", "complete -c gatelodge -f"]
    for path, item in table.items():
        head = f"complete -c gatelodge -n {_fish(f'__gatelodge_at {_fish(path)}')}"
        lines += [f"{head} -a {_fish(word)} -d {_fish(_short(text))}" for word, text in item.commands.items()]
        if item.arguments:
            lines.append(f"{head} -a {_fish(' '.join(item.arguments))}")
        for option, text in item.options.items():
            values = item.values.get(option, ())
            takes = " -r -F" if values is None else f" -x -a {_fish(' '.join(values))}" if option in item.values else ""
            lines.append(f"{head} -l {option[2:]} -d {_fish(_short(text))}{takes}")
    return "\n".join([*lines, ""])


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _short(text: str) -> str:
    """The first sentence of a help text."""
    return (
        text.split(". ", maxsplit=1)[0]
        .split("; ", maxsplit=1)[0]
        .removesuffix(".")
        .replace(":", " -")
        .replace("\n", " ")[:100]
    )
