"""Policy: one small file that says, for tools and what they act on, allow, confirm or deny.

    [[rule]]
    tool = "edit_*"                # a glob over names; all if left out
    server = "filesystem"
    effect = "write"               # read, write, destroy
    principal = "os-user:1000"     # a glob
    subject = "notes/private/**"   # a glob over paths, schema.table, owner/repo, domains
    then = "deny"                  # allow, confirm, deny
    reason = "Private notes stay private."

A rule matches if everything it names matches. Of all that match the strictest counts; if none does, the effect's default
(READ and WRITE allow, DESTROY confirm). A file that can't be read, or a name nobody knows, stops the server.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, cast

from gatelodge_core.effects import Effect, Rule
from gatelodge_core.errors import CallError, SettingsError
from gatelodge_core.globs import Globs
from gatelodge_core.guard.call import Subject
from gatelodge_core.inputs import read_input

_STRICTNESS = {Rule.ALLOW: 0, Rule.CONFIRM: 1, Rule.DENY: 2}
MAX_RULES = 1000
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class PolicyRule:
    """One rule of the file.

    Args:
        then: Its verdict.
        tool: Glob over the name of the tool or prompt, or of the resource as it was declared.
        server: Short name of the server; empty for all.
        effect: ``read``, ``write`` or ``destroy``; empty for all.
        principal: Glob; empty for all.
        subject: Glob over subjects; empty for all calls, also those without a subject.
        reason: For the person who is asked or refused.
        line: Where it stands in the file.
    """

    then: Rule
    tool: str = "*"
    server: str = ""
    effect: str = ""
    principal: str = ""
    subject: str = ""
    reason: str = ""
    line: int = 0

    @cached_property
    def _pattern(self) -> str:
        """The subject as globs are: from the top, and a folder written with a slash is all that is below it."""
        pattern = self.subject.removeprefix("./").lstrip("/")
        if not pattern.endswith("/"):
            return pattern
        return f"{pattern}**" if "/" in pattern.rstrip("/") else f"**/{pattern}**"

    @cached_property
    def _globs(self) -> Globs:
        return Globs([self._pattern or self.subject], empty_matches=False)

    def concerns(self, *, server: str, tool: str, effect: Effect, principal: str) -> bool:
        """Whether it matches apart from the subject."""
        return (
            fnmatchcase(tool, self.tool)
            and self.server in ("", server)
            and self.effect in ("", str(effect))
            and (not self.principal or fnmatchcase(principal, self.principal))
        )

    def covers(self, subjects: Sequence[Subject]) -> bool:
        """Whether its subject matches one of these. A tree is matched by what may lie below it, too."""
        if not self.subject:
            return True
        # A folder is part of what ``folder/**`` covers.
        return any(
            self._globs.matches(subject.name)
            or self._globs.matches(f"{subject.name}/")
            or (subject.tree and self.then is not Rule.ALLOW and self._below(subject.name))
            for subject in subjects
        )

    def _below(self, tree: str) -> bool:
        """Whether the pattern can match something below a tree."""
        fixed = re.split(r"[*?\[{]", self._pattern, maxsplit=1)[0]
        if not tree or "/" not in self._pattern:
            return True
        return f"{tree}/".startswith(fixed) or fixed.startswith(f"{tree}/")

    def __str__(self) -> str:
        parts = [f"{name}={value!r}" for name in ("tool", "server", "effect", "principal", "subject")
                 if (value := getattr(self, name)) not in ("", "*")]  # fmt: skip
        return f"rule on line {self.line} ({', '.join(parts) or 'everything'}): {self.then}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of a call.

    Args:
        rule: Allow, confirm or deny.
        why: The rule or default that says so.
        reason: The rule's own reason, if it gives one.
    """

    rule: Rule
    why: str
    reason: str = ""


def stricter(one: Rule, other: Rule) -> Rule:
    """The stricter of two rules."""
    return max(one, other, key=lambda rule: _STRICTNESS[rule])


@dataclass(frozen=True)
class Policy:
    """All rules, in the order of the file."""

    rules: tuple[PolicyRule, ...] = ()
    source: str = ""

    def folded(self) -> Policy:
        """The same with subjects in lower case, for servers whose names know none: else a rule could never match."""
        return replace(self, rules=tuple(replace(rule, subject=rule.subject.lower()) for rule in self.rules))

    def judge(
        self, *, server: str, tool: str, effect: Effect, principal: str, subjects: Sequence[Subject], default: Rule
    ) -> Verdict:
        """The verdict on a call: the strictest rule that matches, else the default."""
        best: PolicyRule | None = None
        for rule in self.rules:
            if (best is None or _STRICTNESS[rule.then] > _STRICTNESS[best.then]) and (
                rule.concerns(server=server, tool=tool, effect=effect, principal=principal) and rule.covers(subjects)
            ):
                best = rule
        if best is None:
            return Verdict(default, f"default for {effect}")
        return Verdict(best.then, str(best), best.reason)

    def names(self, *, server: str, tool: str, effect: Effect, principal: str, subject: Subject) -> bool:
        """Whether a rule allows a subject by its name; one that names no subject allows all calls, but none of them so."""
        return any(
            rule.then is Rule.ALLOW
            and rule.subject
            and rule.concerns(server=server, tool=tool, effect=effect, principal=principal)
            and rule.covers([subject])
            for rule in self.rules
        )

    def hides(self, *, server: str, tool: str, effect: Effect, principal: str) -> bool:
        """Whether a tool may never be called, whatever its arguments: then it isn't listed."""
        return any(
            rule.then is Rule.DENY
            and not rule.subject
            and rule.concerns(server=server, tool=tool, effect=effect, principal=principal)
            for rule in self.rules
        )


def load(path: str) -> Policy:
    """Read a policy file.

    Raises:
        SettingsError: With the line, if it can't be read, has an unknown key or value, or contradicts itself.
    """
    try:
        data = read_input(path, MAX_BYTES)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text; save it as UTF-8"
        raise SettingsError(f"{path}: the policy can't be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{path}: the policy has more than {MAX_BYTES} bytes")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path}: a number in it is too long, or something nested too deep") from None
    lines = _lines(text)
    for key in table:
        if key != "rule":
            raise SettingsError(
                f"{path}: line {lines.of_key(key, 0)}: unknown key {key!r}; a policy has [[rule]] tables"
            )
    given = table.get("rule", [])
    if not isinstance(given, list):
        raise SettingsError(f"{path}: line {lines.of_key('rule', 0)}: write [[rule]], with two brackets")
    entries = cast("list[dict[str, Any]]", given)
    if len(entries) > MAX_RULES:
        raise SettingsError(f"{path}: more than {MAX_RULES} rules")
    rules = tuple(_rule(entry, number, path, lines) for number, entry in enumerate(entries))
    _refuse_contradictions(rules, path)
    return Policy(rules, path)


_KEYS = {field.name for field in fields(PolicyRule)} - {"line"}
_VALUES = {"then": {str(rule) for rule in Rule}, "effect": {str(effect) for effect in Effect}}


def _rule(entry: dict[str, Any], number: int, path: str, lines: _Lines) -> PolicyRule:
    where = lines.of_rule(number)
    for key, value in entry.items():
        line = lines.of_key(key, where)
        if key not in _KEYS:
            raise SettingsError(f"{path}: line {line}: unknown key {key!r}; a rule has {', '.join(sorted(_KEYS))}")
        if not isinstance(value, str) or not value:
            raise SettingsError(f"{path}: line {line}: {key} must be a text")
        if key in _VALUES and value not in _VALUES[key]:
            raise SettingsError(f"{path}: line {line}: {key} is one of {', '.join(sorted(_VALUES[key]))}")
    if "then" not in entry:
        raise SettingsError(f"{path}: line {where}: the rule has no `then`: allow, confirm or deny")
    if "subject" in entry:
        try:
            Globs([entry["subject"]], empty_matches=False)
        except CallError as error:
            raise SettingsError(f"{path}: line {lines.of_key('subject', where)}: {error}") from None
    return PolicyRule(**{**entry, "then": Rule(entry["then"])}, line=where)


def _refuse_contradictions(rules: tuple[PolicyRule, ...], path: str) -> None:
    """Two rules on exactly the same thing with different verdicts: one of them is a mistake."""
    seen: dict[tuple[str, ...], PolicyRule] = {}
    for rule in rules:
        key = (rule.tool, rule.server, rule.effect, rule.principal, rule.subject)
        other = seen.setdefault(key, rule)
        if other.then is not rule.then:
            raise SettingsError(
                f"{path}: line {rule.line}: contradicts line {other.line}: the same calls, {rule.then} and {other.then}"
            )


@dataclass(frozen=True)
class _Lines:
    """Where things stand in the file; tomllib doesn't tell."""

    lines: tuple[str, ...]

    def of_rule(self, number: int) -> int:
        heads = [at for at, line in enumerate(self.lines, 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
        return heads[number] if number < len(heads) else 1

    def of_key(self, key: str, after: int) -> int:
        pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=\].]""")
        found = (at for at, line in enumerate(self.lines, 1) if at > after and pattern.match(line))
        return next(found, max(after, 1))


def _lines(text: str) -> _Lines:
    return _Lines(tuple(text.splitlines()))
