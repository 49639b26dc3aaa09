"""The policy file: what it means, and what a wrong one is told."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import DESTROY, READ, WRITE, Effect, Rule
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.call import Subject
from gatelodge_core.guard.policy import Policy, load


def policy(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return load(str(path))


def judge(
    rules: Policy, tool: str = "edit_file", effect: Effect = WRITE, *subjects: Subject, principal: str = "os-user:0"
) -> Rule:
    default = Rule.CONFIRM if effect is DESTROY else Rule.ALLOW
    return rules.judge(
        server="filesystem", tool=tool, effect=effect, principal=principal, subjects=subjects, default=default
    ).rule


def test_without_a_rule_the_effects_default_holds() -> None:
    assert [judge(Policy(), effect=effect) for effect in (READ, WRITE, DESTROY)] == [
        Rule.ALLOW,
        Rule.ALLOW,
        Rule.CONFIRM,
    ]


def test_the_strictest_matching_rule_counts_whatever_the_order(tmp_path: Path) -> None:
    rules = ['tool = "edit_*"\nthen = "allow"', 'tool = "*_file"\nthen = "confirm"', 'effect = "write"\nthen = "deny"']
    for order in itertools.permutations(rules):
        text = "\n".join(f"[[rule]]\n{rule}" for rule in order)
        assert judge(policy(tmp_path, text)) is Rule.DENY
    assert judge(policy(tmp_path, f"[[rule]]\n{rules[0]}"), "edit_file", DESTROY) is Rule.ALLOW


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ('server = "filesystem"', True),
        ('server = "github"', False),
        ('principal = "os-user:*"', True),
        ('principal = "key:*"', False),
        ('effect = "read"', False),
        ('tool = "Edit_file"', False),
    ],
)
def test_every_named_thing_must_match(tmp_path: Path, rule: str, matches: bool) -> None:
    assert judge(policy(tmp_path, f'[[rule]]\n{rule}\nthen = "deny"')) is (Rule.DENY if matches else Rule.ALLOW)


@pytest.mark.parametrize(
    ("name", "tree", "denied"),
    [
        ("notes/private/a.md", False, True),
        ("notes/private", False, True),
        ("notes/private/deep/a.md", False, True),
        ("notes/privateer/a.md", False, False),
        ("notes/a.md", False, False),
        ("other/notes/private/a", False, False),
        ("notes", True, True),
        ("notes/private/deep", True, True),
        ("notes/public", True, False),
        ("other", True, False),
        ("", True, True),
    ],
)
@pytest.mark.parametrize("written", ["notes/private/**", "/notes/private/**", "./notes/private/**", "notes/private/"])
def test_a_rule_on_paths_holds_below_and_for_trees_that_reach_it(
    tmp_path: Path, name: str, tree: bool, denied: bool, written: str
) -> None:
    rules = policy(tmp_path, f'[[rule]]\nsubject = "{written}"\nthen = "deny"')
    assert judge(rules, "search_text", READ, Subject(name, tree)) is (Rule.DENY if denied else Rule.ALLOW)


def test_a_pattern_without_a_slash_holds_at_any_depth_and_for_any_tree(tmp_path: Path) -> None:
    rules = policy(tmp_path, '[[rule]]\nsubject = ".env*"\nthen = "deny"')
    assert judge(rules, "read_file", READ, Subject("src/app/.env.local")) is Rule.DENY
    assert judge(rules, "search_text", READ, Subject("src", tree=True)) is Rule.DENY
    assert judge(rules, "read_file", READ, Subject("src/app/env")) is Rule.ALLOW


def test_a_folders_name_alone_holds_at_any_depth_too(tmp_path: Path) -> None:
    rules = policy(tmp_path, '[[rule]]\nsubject = "private/"\nthen = "deny"')
    assert judge(rules, "read_file", READ, Subject("notes/private/a.md")) is Rule.DENY
    assert judge(rules, "move_path", READ, Subject("notes", tree=True)) is Rule.DENY
    assert judge(rules, "read_file", READ, Subject("notes/a.md")) is Rule.ALLOW


def test_one_of_several_subjects_is_enough(tmp_path: Path) -> None:
    rules = policy(tmp_path, '[[rule]]\nsubject = "a/secret"\nthen = "deny"')
    assert judge(rules, "get_file_info", READ, Subject("a/b"), Subject("a/secret")) is Rule.DENY


def test_a_tool_is_hidden_only_by_a_rule_that_always_holds(tmp_path: Path) -> None:
    rules = policy(tmp_path, '[[rule]]\ntool = "write_*"\nthen = "deny"\n[[rule]]\nsubject = "x"\nthen = "deny"')
    hidden = {
        name: rules.hides(server="filesystem", tool=name, effect=WRITE, principal="p")
        for name in ("write_file", "edit_file")
    }
    assert hidden == {"write_file": True, "edit_file": False}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[rule]]\nthen = "deny"\nthis = "x"', "line 3: unknown key 'this'"),
        ('[[rule]]\n\nthen = "maybe"', "line 3: then is one of allow, confirm, deny"),
        ('# a\n[[rule]]\ntool = "x"', "line 2: the rule has no `then`"),
        ('[[rule]]\nthen = "deny"\ntool = 5', "line 3: tool must be a text"),
        ('[[rule]]\nthen = "deny"\neffect = "change"', "line 3: effect is one of"),
        ('[[rule]]\nthen = "deny"\nsubject = "' + "{a,b}" * 8 + '"', "line 3: bad_glob"),
        ('default = "deny"', "line 1: unknown key 'default'"),
        ('[rule]\nthen = "deny"', r"line 1: write \[\[rule\]\]"),
        ("[[rule]\n", "line 1"),
        ('[[rule]]\ntool = "x"\nthen = "deny"\n[[rule]]\ntool = "x"\nthen = "allow"', "line 4: contradicts line 1"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        policy(tmp_path, text)


def test_a_policy_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        load(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    "granted", [set(items) for size in range(4) for items in itertools.combinations(["read", "write", "destroy"], size)]
)
def test_a_broader_scope_holds_the_narrower_and_no_scope_holds_another_servers(granted: set[str]) -> None:
    principal = Principal("key", "k", frozenset(f"filesystem:{item}" for item in granted))
    levels = ["read", "write", "destroy"]
    for at, level in enumerate(levels):
        assert principal.may(f"filesystem:{level}") is bool(granted & set(levels[at:]))
        assert not principal.may(f"github:{level}")
