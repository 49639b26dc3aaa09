"""Recorded exchanges are found and answered again."""

from __future__ import annotations

import pytest

from tests.github.asking import get
from tests.github.recordings import everything, find, recorded, replaying

pytestmark = pytest.mark.usefixtures("recordings")


def test_all_exchanges_are_read() -> None:
    assert len(everything()) == 2382
    counts = {status: len(find(".*", status)) for status in (301, 302, 304, 403, 404, 422, 502)}
    assert counts == {301: 7, 302: 12, 304: 28, 403: 12, 404: 59, 422: 12, 502: 7}


def test_a_copy_that_the_reader_has_is_answered_with_304() -> None:
    known = {(one.file, one.request.target) for one in find(".*", 200, "GET")}
    kept = next(one for one in find(".*", 304) if (one.file, one.request.target) in known)
    with replaying(recorded(kept.file)) as replay:
        path = kept.request.target
        assert get(replay.url, path).status == 200
        again = get(replay.url, path, If_None_Match='"any"')
        assert (again.status, again.body) == (304, b"")
        assert [one.target for one in replay.requests] == [path, path]


def test_a_reader_without_a_copy_is_never_told_that_nothing_changed() -> None:
    with replaying([find(".*", 304)[0]]) as replay:
        assert get(replay.url, replay.recordings[0].request.target).status == 404


def test_answers_come_in_order_and_the_last_stays() -> None:
    stats = find(r".*/stats/contributors")
    path = stats[0].request.path
    with replaying(stats) as replay:
        got = [get(replay.url, path).status for _ in range(len(stats) + 2)]
    expected = [one.answer.status for one in stats]
    assert got == [*expected, expected[-1], expected[-1]]


def test_addresses_of_the_api_become_the_servers_own_and_others_stay() -> None:
    moved = next(one for one in find(r"/repos/[^/]+/[^/]+", 301) if one.host == "api.github.com")
    logs = find(r".*/actions/jobs/\d+/logs", 302)[0]
    with replaying([moved, logs]) as replay:
        assert get(replay.url, moved.request.target).headers["location"].startswith(f"{replay.url}/repositories/")
        elsewhere = get(replay.url, logs.request.target).headers["location"]
        assert elsewhere.startswith("https://pipelines.actions.githubusercontent.com/")
        assert get(replay.url, "/never/asked").status == 404


def test_binary_downloads_are_bytes_again() -> None:
    download = recorded("PublicReleaseAsset.testDownload.txt")[-1]
    assert download.answer.bytes.startswith(b"\0asm")
    assert len(download.answer.bytes) == 4945
