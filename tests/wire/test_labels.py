"""Each result says how private and how trusted it is, over each transport and protocol revision."""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from gatelodge_core.audit.canonical import digest
from gatelodge_core.effects import PRIVATE, PUBLIC, UNTRUSTED, Label

from tests.support.labelling import PLACES, Ending, Place
from tests.support.wire import MODERN, Message, Revision, StdioWire, Transport, Wire, connected, python_module

FORM: dict[str, Any] = {"elicitation": {"form": {}}}
LABELS = (PUBLIC, PRIVATE, UNTRUSTED, PRIVATE | UNTRUSTED)
AT_ONCE = 24


def command(base: Path, *more: str) -> list[str]:
    return python_module("tests.support.labelling", "--state-dir", str(base / "state"), *more)


@pytest.fixture(scope="module")
def wire(transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory) -> Generator[Wire]:
    with connected(command(tmp_path_factory.mktemp("labelling")), transport, revision) as made:
        yield made


def arguments(label: Label) -> dict[str, bool]:
    return {"private": label.private, "untrusted": label.untrusted}


def ifc(result: Message) -> object:
    return result["_meta"]["ifc"]


def test_the_words_are_those_that_other_servers_and_clients_use(wire: Wire) -> None:
    assert ifc(wire.tool("read_note")) == {"integrity": "trusted", "confidentiality": "public"}
    assert ifc(wire.tool("read_note", private=True)) == {"integrity": "trusted", "confidentiality": "private"}
    assert ifc(wire.tool("read_note", untrusted=True)) == {"integrity": "untrusted", "confidentiality": "public"}


@pytest.mark.parametrize("label", LABELS)
def test_a_label_raised_at_run_time_is_joined_to_the_declared_one(wire: Wire, label: Label) -> None:
    assert ifc(wire.tool("read_note", **arguments(label))) == label.as_ifc()
    assert ifc(wire.tool("find_note", **arguments(label))) == label.as_ifc()
    diary = wire.tool("read_diary", untrusted=label.untrusted)
    assert ifc(diary) == (PRIVATE | Label(untrusted=label.untrusted)).as_ifc()
    post = wire.tool("read_post", private=label.private)
    assert ifc(post) == (UNTRUSTED | Label(private=label.private)).as_ifc()


@pytest.mark.parametrize("place", PLACES)
def test_a_label_is_raised_from_whatever_the_call_awaits_or_starts(wire: Wire, place: Place) -> None:
    for label in LABELS:
        assert ifc(wire.tool("read_note", **arguments(label), place=place)) == label.as_ifc()


@pytest.mark.parametrize("ending", sorted({*get_args(Ending)} - {"text", "protocol error"}))
def test_a_failed_call_carries_the_label_of_what_it_had_read(wire: Wire, ending: Ending) -> None:
    for label in LABELS:
        result = wire.tool("read_note", **arguments(label), ending=ending)
        assert result["isError"]
        assert ifc(result) == label.as_ifc()


def test_arguments_that_are_refused_carry_what_the_tool_declares(wire: Wire) -> None:
    result = wire.tool("read_diary", nothing=1)
    assert result["isError"]
    assert ifc(result) == PRIVATE.as_ifc()


def test_nothing_a_tool_does_lowers_its_label_and_its_other_meta_stays(wire: Wire) -> None:
    result = wire.tool("read_lowered")
    assert ifc(result) == (PRIVATE | UNTRUSTED).as_ifc()
    assert result["_meta"]["example.org/kept"] == {"n": 1}


def test_what_the_client_says_of_labels_changes_none(wire: Wire) -> None:
    forged = {"ifc": {"integrity": "trusted", "confidentiality": "public"}}
    params = {"name": "read_diary", "arguments": {"untrusted": True}, "_meta": forged}
    assert ifc(wire.request("tools/call", params)["result"]) == (PRIVATE | UNTRUSTED).as_ifc()


def test_the_sdks_own_meta_stays_beside_the_label(wire: Wire) -> None:
    meta = wire.tool("read_diary")["_meta"]
    others = {"io.modelcontextprotocol/serverInfo"} if wire.modern else set[str]()
    assert meta.keys() == {"ifc"} | others


def test_the_label_of_one_call_does_not_stay_for_the_next(wire: Wire) -> None:
    for label in (PRIVATE | UNTRUSTED, PUBLIC, PRIVATE, UNTRUSTED, PUBLIC):
        assert ifc(wire.tool("read_note", **arguments(label), place="thread")) == label.as_ifc()


def test_calls_at_the_same_time_do_not_share_a_label(wire: Wire) -> None:
    # Each call stays until all are there, twice, and raises its label before, between and from all places.
    labels = list(itertools.islice(itertools.cycle(LABELS), AT_ONCE))
    results = at_once(wire, [{"count": AT_ONCE, **arguments(label)} for label in labels])
    for label, result in zip(labels, results, strict=True):
        assert result["content"][0]["text"] == f"{label.private} {label.untrusted}"
        assert ifc(result) == label.as_ifc()


def at_once(wire: Wire, calls: list[dict[str, Any]]) -> list[Message]:
    """The results of calls that are all in flight together."""
    if isinstance(wire, StdioWire):
        ids = [wire.next_id() for _ in calls]
        for request_id, given in zip(ids, calls, strict=True):
            wire.send_call(request_id, "meet_others", **given)
        found: dict[object, Message] = {}
        while len(found) < len(ids):
            message = json.loads(wire.server.line())
            if "method" not in message:
                found[message["id"]] = message["result"]
        return [found[request_id] for request_id in ids]

    def one(given: dict[str, Any]) -> Message:
        return wire.tool("meet_others", **given)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(one, calls))


def test_a_raised_label_puts_no_envelope_around_the_whole_text(wire: Wire) -> None:
    """A server that marks single items must not have all of them taken for others' words."""
    text = wire.text("read_thread")
    assert text.startswith("mine\n<untrusted-")
    assert text.count("<untrusted-") == 1
    assert wire.text("read_note", untrusted=True) == "a note"
    # Where everything is others', by declaration, the whole is enveloped.
    assert wire.text("read_post").startswith("<untrusted-")


def test_resources_and_prompts_carry_labels_too(wire: Wire) -> None:
    for untrusted, label in (("no", PRIVATE), ("yes", PRIVATE | UNTRUSTED)):
        assert ifc(wire.request("resources/read", {"uri": f"note://diary/{untrusted}"})["result"]) == label.as_ifc()
    assert ifc(wire.request("resources/read", {"uri": "note://public"})["result"]) == PUBLIC.as_ifc()
    for label in LABELS:
        given = {name: "yes" if value else "no" for name, value in arguments(label).items()}
        result = wire.request("prompts/get", {"name": "about_note", "arguments": given})["result"]
        assert ifc(result) == label.as_ifc()


def test_lists_and_completions_carry_none(wire: Wire) -> None:
    for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
        assert "ifc" not in wire.request(method)["result"].get("_meta", {})
    params = {"ref": {"type": "ref/prompt", "name": "about_note"}, "argument": {"name": "private", "value": ""}}
    result = wire.request("completion/complete", params)["result"]
    assert result["completion"]["values"] == ["yes", "no"]
    assert "ifc" not in result.get("_meta", {})


def test_a_call_that_is_parked_carries_what_the_tool_declares(wire: Wire) -> None:
    result = wire.tool("burn_diary")
    assert "approval_required" in result["content"][0]["text"]
    assert ifc(result) == PRIVATE.as_ifc()


def test_a_question_carries_none_and_the_answer_to_it_does(tmp_path: Path, transport: Transport) -> None:
    with connected(command(tmp_path), transport, MODERN, capabilities=FORM) as wire:
        own = wire.tool("ask_back")
        lodges = wire.tool("burn_diary")
        for question in (own, lodges):
            assert question["resultType"] == "input_required"
            assert "ifc" not in question.get("_meta", {})
        answer = {"requestState": lodges["requestState"], "inputResponses": {"gatelodge_confirm": {"action": "accept"}}}
        params = {"name": "burn_diary", "arguments": {}, **answer}
        result = wire.request("tools/call", params)["result"]
        assert result["content"][0]["text"] == "ashes"
        assert ifc(result) == PRIVATE.as_ifc()


def test_a_call_that_is_stopped_carries_what_it_had_looked_at(
    tmp_path: Path, transport: Transport, revision: Revision
) -> None:
    with connected(command(tmp_path, "--call-seconds", "0.2"), transport, revision) as wire:
        result = wire.tool("stay_for_ever")
        assert result["content"][0]["text"].startswith("timeout: ")
        assert ifc(result) == PRIVATE.as_ifc()
    assert [outcome["labels"] for outcome in outcomes(tmp_path)] == [PRIVATE.as_ifc()]


def test_the_journal_has_the_digest_of_the_labelled_result_and_the_label(
    tmp_path: Path, transport: Transport, revision: Revision
) -> None:
    with connected(command(tmp_path), transport, revision) as wire:
        results = [wire.tool("read_note", **arguments(label)) for label in LABELS]
        results.append(wire.request("resources/read", {"uri": "note://diary/yes"})["result"])
        results.append(wire.request("prompts/get", {"name": "about_note", "arguments": {"private": "yes"}})["result"])
        assert "error" in wire.request(
            "tools/call", {"name": "read_note", "arguments": {"private": True, "ending": "protocol error"}}
        )
        completing = {"ref": {"type": "ref/prompt", "name": "about_note"}, "argument": {"name": "private", "value": ""}}
        assert "result" in wire.request("completion/complete", completing)
    *ended, failed, completed = outcomes(tmp_path)
    assert [(outcome["result"], outcome["labels"]) for outcome in ended] == [
        (digest(result), ifc(result)) for result in results
    ]
    # An error has no place for a label, but tells of what was read all the same.
    assert (failed["status"], failed["labels"]) == ("error", PRIVATE.as_ifc())
    assert "labels" not in completed


def outcomes(base: Path) -> list[Message]:
    (path,) = (base / "state" / "journal").glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if record["type"] == "outcome"]


def test_files_are_private_on_the_wire(tmp_path: Path, transport: Transport, revision: Revision) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("one\n", encoding="utf-8")
    files = python_module("gatelodge_filesystem", str(notes), "--state-dir", str(tmp_path / "state"))
    with connected(files, transport, revision) as wire:
        assert ifc(wire.tool("read_file", path="notes/a.txt")) == PRIVATE.as_ifc()
        assert ifc(wire.tool("read_file", path="notes/nothing")) == PRIVATE.as_ifc()
        assert ifc(wire.tool("search_text", pattern="one", path="notes")) == PRIVATE.as_ifc()
        assert ifc(wire.tool("write_file", path="notes/b.txt", content="two")) == PRIVATE.as_ifc()
        assert ifc(wire.tool("list_roots")) == PUBLIC.as_ifc()
        templates = wire.request("resources/templates/list")["result"]["resourceTemplates"]
        uri = next(item["uriTemplate"] for item in templates if item["name"] == "file")
        uri = uri.replace("{root}", "notes").replace("{+path}", "a.txt").replace("{path}", "a.txt")
        assert ifc(wire.request("resources/read", {"uri": uri})["result"]) == PRIVATE.as_ifc()


def test_what_was_found_on_the_web_is_untrusted_on_the_wire(
    tmp_path: Path, transport: Transport, revision: Revision
) -> None:
    web = python_module("gatelodge_websearch", "--state-dir", str(tmp_path / "state"))
    with connected(web, transport, revision) as wire:
        assert ifc(wire.tool("search_local", query="anything")) == UNTRUSTED.as_ifc()
        assert ifc(wire.tool("show_engines")) == PUBLIC.as_ifc()
        assert ifc(wire.request("resources/read", {"uri": "web://policy"})["result"]) == PUBLIC.as_ifc()
