"""Requests and the token go to the one configured API, whatever GitHub, a caller or the environment says."""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from gatelodge_core.errors import CallError, SettingsError
from gatelodge_core.sandbox.egress import vetted_connect
from gatelodge_github import names
from gatelodge_github.hosts import Hosts
from gatelodge_github.names import REPO, repo_path
from gatelodge_github.transport import api as apis
from gatelodge_github.transport import line

from tests.github.bench import answer, busy, hub, raw_server, refusal, token, until
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.proxy import Proxy

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


# --- which GitHub


@pytest.mark.parametrize(
    ("host", "api_url", "base", "graphql", "prefix"),
    [
        ("github.com", "", "https://api.github.com", "/graphql", ""),
        ("https://GitHub.com/", "", "https://api.github.com", "/graphql", ""),
        ("acme.ghe.com", "", "https://api.acme.ghe.com", "/graphql", ""),
        ("ghe.corp.example", "", "https://ghe.corp.example/api/v3", "/api/graphql", "/api/v3"),
        ("ghe.corp.example:8443", "", "https://ghe.corp.example:8443/api/v3", "/api/graphql", "/api/v3"),
        ("ghe.corp.example", "https://API.corp.example/", "https://API.corp.example", "/graphql", ""),
        ("ghe.corp.example", "http://[::1]:8080/api/v3/", "http://[::1]:8080/api/v3", "/api/graphql", "/api/v3"),
    ],
)
def test_each_kind_of_github_has_its_addresses(host: str, api_url: str, base: str, graphql: str, prefix: str) -> None:
    hosts = Hosts.of(host, api_url)
    assert (hosts.base_url, hosts.graphql, hosts.prefix) == (base, graphql, prefix)
    assert hosts.check_api(f"{hosts.origin}{prefix}/user?a=1") == f"{prefix}/user?a=1"
    assert hosts.is_api(f"{hosts.origin}{graphql}")


@pytest.mark.parametrize(
    ("host", "api_url"),
    [
        ("", ""), ("github.com/api", ""), ("me@github.com", ""), ("git hub.com", ""), ("github.com", "ftp://x/"),
        ("github.com", "https://me:pw@x/"), ("github.com", "https://x/?a=1"), ("github.com", "https://x/#a"),
        ("github.com", "http://ghe.example.com/api/v3"), ("github.com", "http://127.0.0.1.example.com/"),
        ("github.com", "https://x:port/"), ("github.com", "https:///api"), ("github.com", "api.github.com"),
    ],
)  # fmt: skip
def test_an_address_that_would_show_the_token_or_is_none_stops_the_start(host: str, api_url: str) -> None:
    with pytest.raises(SettingsError):
        Hosts.of(host, api_url)


FOREIGN = [
    "https://evil.example/repos/a/b", "http://api.github.com/repos/a/b", "https://api.github.com:444/x",
    "https://api.github.com:0/x", "https://api.github.com:x/x", "https://api.github.com.evil.example/x",
    "https://api.github.com@evil.example/x", "https://x:y@api.github.com/x", "https://api.github.com\\@evil.example/x",
    "https://evil.example\\@api.github.com/x", "//evil.example/x", "///x", "/x", "x", "", "https:/api.github.com/x",
    "https://api.github.com/a/../b", "https://api.github.com/a/%2e%2e/b", "https://api.github.com/a/%2E./b",
    "https://api.github.com/a/..%2fb", "https://api.github.com/a\tb", "https://api.github.com/a\r\nX: y",
    "https://api.github.com/a b", "https://api.g\u0131thub.com/x", "https://\uff41pi.github.com/x", "https://[::1]/x",
    "https://api.github.com./x", "javascript:x", "https://api.github.com/\u00e9", "HTTPS://EVIL.EXAMPLE",
]  # fmt: skip


@pytest.mark.parametrize("url", FOREIGN)
def test_a_url_that_is_not_the_apis_is_refused(url: str) -> None:
    with pytest.raises(CallError, match="foreign_url"):
        Hosts.of("github.com").check_api(url)


def test_on_a_server_with_a_prefix_the_rest_of_the_host_is_foreign() -> None:
    hosts = Hosts.of("ghe.corp.example")
    for path in ("/login", "/api/v3", "/api/v30/x", "/api/v3/../../login", "/api/graphql/x", "/API/V3/x"):
        assert not hosts.is_api(f"https://ghe.corp.example{path}")
    assert hosts.check_api("HTTPS://GHE.corp.example:443/api/v3/user") == "/api/v3/user"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x", "http://a.blob.core.windows.net/x", "https://blob.core.windows.net/x",
        "https://a.blob.core.windows.net:444/x", "https://u:p@a.blob.core.windows.net/x",
        "https://evil.example\\.blob.core.windows.net/x", "https://evil.example%2f.blob.core.windows.net/x",
        "https://evil.example#.blob.core.windows.net/x", "https://evil.example?.blob.core.windows.net/x",
        "https://.blob.core.windows.net/x", "https://a..blob.core.windows.net/x", "https://a.blob.core.windows.net/\n",
        "https://a.blob.core.windows.net.evil.example/x", "https://evilgithubusercontent.com/x", "http://127.0.0.1/x",
        "http://127.0.0.1:8080/x", "file:///etc/passwd", "https://169.254.169.254/x", "",
    ],
)  # fmt: skip
def test_a_download_from_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(CallError, match="foreign_url"):
        Hosts.of("github.com").check_download(url)


def test_downloads_come_from_githubs_hosts_and_those_that_the_operator_names() -> None:
    hosts = Hosts.of("ghe.corp.example", "", ("Logs.corp.example", "*.store.example:8443", "127.0.0.1:9000"))
    for url in (
        "https://productionresultssa0.blob.core.windows.net/x?sig=a%2Fb", "https://raw.githubusercontent.com/x",
        "https://ghe.corp.example/x", "https://media.ghe.corp.example/x", "https://logs.corp.example/x",
        "https://a.store.example:8443/x", "http://127.0.0.1:9000/x",
    ):  # fmt: skip
        assert hosts.check_download(url) == url
    for url in ("https://a.store.example/x", "http://logs.corp.example/x", "https://x.logs.corp.example/x"):
        with pytest.raises(CallError):
            hosts.check_download(url)


@pytest.mark.parametrize("port", ["²", "9" * 5000, "x"])
def test_a_download_host_with_a_port_that_is_no_number_raises_nothing_else(port: str) -> None:
    hosts = Hosts.of("github.com", "", (f"logs.example:{port}",))
    with pytest.raises(CallError, match="foreign_url"):
        hosts.check_download("https://logs.example:8443/x")


# --- what a caller says


@pytest.mark.parametrize(
    "path",
    [
        "/repos/a/b/contents/x?ref=evil", "/repos/a/b#c", "/repos/a/b c", "/repos/a/b/../../user", "/repos/a/b/%2e%2e/c",
        "/repos/a/b/%2E%2e%2fc", "/repos/a//b", "//evil.example/x", "/repos/a/b\r\nX: y", "/repos/a/b\\c", "repos/a/b", "",
        "/repos/a/b/%", "/repos/a/b/%2", "/repos/a/b/\u00e9", "http://evil.example/x", "/repos/a/b/.", "/repos/a/b\0",
    ],
)  # fmt: skip
async def test_a_path_that_was_not_quoted_is_never_sent(proxy: Proxy, tmp_path: Path, path: str) -> None:
    async with hub(tmp_path, proxy.url, token()) as made:
        assert (await refusal(made.desk().api.get(path))).code in ("bad_path", "foreign_url")
        refused = await refusal(made.desk().api.write("DELETE", path, check="x"))
        assert refused.code in ("bad_path", "foreign_url")
    assert proxy.requests == []


@pytest.mark.parametrize(
    "repo",
    [
        "a/..", "a/.", "../b", "a/b/c", "a", "/a/b", "a/b/", "a/b?x", "a/b#x", "a b/c", "a/b\n", "\na/b", "a/%2e%2e",
        "a%2fb/c", "a/b\r\nX: y", "a\\b/c", "\u0430lice/x", "a/\uff0e\uff0e", ".a/b", "-a/b", "a/b\0", "a/b ", "",
        "a" * 101 + "/b", "a/" + "b" * 101,
    ],
)  # fmt: skip
async def test_a_name_that_would_be_another_path_is_no_repository(repo: str) -> None:
    assert REPO.fullmatch(repo) is None
    with pytest.raises(CallError, match="bad_repo"):
        repo_path(repo)


@pytest.mark.parametrize("repo", ["octocat/hello-world", "a/b", "Some_Owner/.github", "a-b/c.d_e-f", "o/..."])
def test_names_as_github_has_them_are_repositories(repo: str) -> None:
    assert repo_path(repo) == f"/repos/{repo}"


@pytest.mark.parametrize("text", ["a/../b", "..", "a..b", "a b", "a\nb", "a^1", "a~1", "a:b", "@{u}", "@", "-x", "a.lock", "a//b", "/a", "a/", "a/.b", "a?b", "a*", "a[b", "a\\b", "", "x" * 251, "\ud800"])  # fmt: skip
def test_what_git_forbids_is_no_ref(text: str) -> None:
    with pytest.raises(CallError, match=r"bad_ref|bad_name"):
        names.ref_segments(text)


def test_refs_paths_and_labels_are_quoted_as_segments() -> None:
    assert names.ref_segments("release/1.x ü".replace(" ", "_")) == "release/1.x_%C3%BC"
    assert names.segment("a/b?c#d%e&f\n") == "a%2Fb%3Fc%23d%25e%26f%0A"
    assert names.file_path("/odd/a?ref=evil#x & 100%.txt/") == "odd/a%3Fref%3Devil%23x%20%26%20100%25.txt"
    for bad in ("a/../b", "..", "a//b", "./a", "a\0b", "x/" * 3000):
        with pytest.raises(CallError, match="bad_path"):
            names.file_path(bad)
    for text in ("", ".", "..", "\udc80", "x" * 501):
        with pytest.raises(CallError, match="bad_name"):
            names.segment(text)
    for text in ("a b", "a/b", "", "a\n", "[bot]", "a[bot]x", "\u0430"):
        with pytest.raises(CallError, match="bad_login"):
            names.login(text)
    assert names.login("dependabot[bot]") == "dependabot[bot]"
    assert [names.is_sha(digit) for digit in ("0" * 40, "a" * 64, "0" * 6, "g" * 40)] == [True, True, False, False]


async def test_a_query_of_a_caller_stays_a_value(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.serve("GET", "/x", lambda request: [])
    odd = "a&page=9 #x\r\nX: y\u2028%00"
    async with hub(tmp_path, elsewhere.url) as made:
        await made.desk().api.get("/x", {"q": odd})
    assert elsewhere.requests[0].query == {"q": [odd]}


async def test_the_allow_list_knows_no_letter_case_and_is_asked_again_under_the_tools(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    # At GitHub it is the same; to the emulator it isn't.
    proxy.serve("GET", "/repos/aLiCe/pUbLiC-rEpO", lambda request: github.call("GET", HERE))
    async with hub(tmp_path, proxy.url, github.tokens["alice"], repos=["Alice/Public-*"]) as made:
        assert (await made.open("aLiCe/pUbLiC-rEpO")).repo == PUBLIC
        proxy.forget()
        api = made.desk().api
        for path in (
            f"/repos/{PRIVATE}",
            f"/repos/{PRIVATE}/issues",
            f"/repos/{PRIVATE.upper()}",
            "/repos/alice/%70rivate-repo",
        ):
            assert (await refusal(api.get(path))).code == "repo_not_allowed"
            assert (await refusal(api.write("PATCH", path, {}, check="x"))).code == "repo_not_allowed"
        owner, _, name = PRIVATE.partition("/")
        asked = api.graphql("discussions", {"owner": owner, "name": name, "first": 1})
        assert (await refusal(asked)).code == "repo_not_allowed"
    assert proxy.requests == []


async def test_what_may_not_be_written_is_not_written_whatever_a_tool_did_before(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["alice"], write_repos=[PRIVATE]) as made:
        refused = await refusal(made.desk().api.write("POST", f"{HERE}/issues", {"title": "x"}, check="x"))
        assert refused.code == "repo_not_writable"
        assert proxy.requests == []
        await made.desk().api.write("POST", f"/repos/{PRIVATE}/issues", {"title": "x"}, check="x")
        # A fork is made elsewhere.
        assert (await refusal(made.desk().api.write("POST", "/repos/o/gone/forks", {}, check="x"))).code == "not_found"


# --- what the environment says


async def test_proxies_netrc_and_bundles_of_the_environment_change_nothing(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.url)
        monkeypatch.setenv(name.lower(), elsewhere.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    home = tmp_path / "home"
    home.mkdir()
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login eve password stolen\ndefault login eve password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(netrc))
    for credential, sent in ((github.tokens["alice"], f"token {github.tokens['alice']}"), ("", "")):
        async with hub(tmp_path, proxy.url, credential) as made:
            await refusal(made.desk().api.get("/nowhere"))
        assert proxy.requests[-1].headers.get("authorization", "") == sent
    assert elsewhere.requests == []


async def test_no_cookie_is_kept(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.serve("GET", "/x", lambda request: [])
    elsewhere.headers["Set-Cookie"] = "session=eve; Path=/"
    async with hub(tmp_path, elsewhere.url, cache_mb=0) as made:
        for _ in range(2):
            await made.desk().api.get("/x")
    assert [one.headers.get("cookie") for one in elsewhere.requests] == [None, None]


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name have these addresses; gives the names that are asked for."""
    asked: list[str] = []

    def ask(name: str, port: int) -> list[str]:
        asked.append(name)
        return list(addresses)

    monkeypatch.setattr(line, "vetted_connect", functools.partial(vetted_connect, ask=ask))
    return asked


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"])
@pytest.mark.parametrize("named", [False, True])
async def test_an_api_whose_name_leads_to_a_metadata_service_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, named: bool
) -> None:
    asked = resolving(monkeypatch, address)
    given: dict[str, Any] = {"api_url": "https://ghe.corp.example/api/v3"} if named else {"api_url": ""}
    async with hub(tmp_path, given.pop("api_url"), token()) as made:
        error = await refusal(made.desk().api.get("/user"))
        assert error.code == "blocked_address"
        assert (await refusal(made.desk().api.write("POST", "/user/x", {}, check="x"))).code == "blocked_address"
    assert set(asked) == {"ghe.corp.example" if named else "api.github.com"}


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1"])
async def test_a_private_address_is_for_a_host_that_the_operator_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    resolving(monkeypatch, address)
    tried: list[str] = []

    def connecting(where: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(where[0])
        raise OSError

    monkeypatch.setattr(socket, "create_connection", connecting)
    async with hub(tmp_path, "", token()) as made:
        assert (await refusal(made.desk().api.get("/user"))).code == "blocked_address"
    assert tried == []
    async with hub(tmp_path, "https://api.github.com", token()) as made:
        assert (await refusal(made.desk().api.get("/user"))).code == "unreachable"
    assert set(tried) == {str(ipaddress.ip_address(address))}


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issued(authority: trustme.CA, folder: Path, name: str) -> ssl.SSLContext:
    """What a server with a certificate for `name` needs."""
    path = folder / f"{name}.pem"
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path)
    return made


@pytest.fixture
def context(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    return issued(authority, tmp_path, "127.0.0.1")


async def test_over_tls_the_operators_authority_is_trusted_and_no_other(
    authority: trustme.CA, context: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(given))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(given))
    monkeypatch.setenv("SSL_CERT_FILE", str(given))
    with raw_server(lambda to, head: to.sendall(answer(b"{}")), context) as server:
        async with hub(tmp_path, server.url, token()) as made:
            error = await refusal(made.desk().api.get("/x"))
            assert error.code == "bad_certificate"
            assert "ca_file" in error.hint
            assert (await refusal(made.desk().api.write("POST", "/x", {}, check="x"))).code == "bad_certificate"
        assert server.heads == []
        async with hub(tmp_path, server.url, token(), ca_file=str(given)) as made:
            assert (await made.desk().api.get("/x")).data == {}
            assert (await made.desk().api.write("POST", "/x", {}, check="x")).data == {}
        assert len(server.heads) == 2
    other = issued(authority, tmp_path, "other.example")
    with raw_server(lambda to, head: to.sendall(answer(b"{}")), other) as server:
        async with hub(tmp_path, server.url, token(), ca_file=str(given)) as made:
            assert (await refusal(made.desk().api.get("/x"))).code == "bad_certificate"
        assert server.heads == []


async def test_over_tls_too_a_late_answer_ends_at_the_deadline_with_its_connection(
    authority: trustme.CA, context: ssl.SSLContext, tmp_path: Path
) -> None:
    given = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(given))

    def drip(to: socket.socket, head: bytes) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[")
        while not server.ended.wait(0.02):
            to.sendall(b" ")

    with raw_server(drip, context) as server:
        async with hub(tmp_path, server.url, token(), ca_file=str(given)) as made:
            assert (await refusal(made.desk().api.get("/x", seconds=0.5))).code == "too_slow"
            await until(lambda: busy(made) == 0 and not server.live)


async def test_a_handshake_that_stalls_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apis, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with hub(tmp_path, url, token()) as made:
            error = await refusal(made.desk().api.write("POST", "/x", {}, check="x"))
            assert error.code == "too_slow"
            await until(lambda: busy(made) == 0)
