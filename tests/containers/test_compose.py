"""docker/compose.yaml as a new user would start it: calls through Caddy, hardening from the inside, ends and deaths."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.containers.caller import LISTS, Task
from tests.containers.conftest import Engine
from tests.containers.deployment import SERVERS, Deployment, until

ALL = (*SERVERS, "caddy", "valkey", "database")
CLOSED = ("filesystem", "postgres")
"""Servers that have no business outside."""
SECRET = re.compile(r"glk_\w+|[0-9a-f]{64}")
OUTSIDE = "198.51.100.2"
"""What stands for the internet on an engine of engine.sh."""
LONG = "SELECT count(*) AS n FROM generate_series(1, 4000) a, generate_series(1, 10000) b"
"""Some seconds."""
CONNECT = "import socket; socket.create_connection(({!r}, {}), 3); print('connected')"
SCALE = ("up", "--detach", "--wait", "--no-build", "--no-deps", "--no-recreate", "filesystem", "--scale")


# In one class, so that one worker of xdist runs them, on one deployment. An engine may have to build the images first.
@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
class TestTheDeployment:
    """Of one `docker compose up`."""

    def test_every_server_answers_a_real_client_through_caddy(self, deployment: Deployment) -> None:
        files = deployment.call("filesystem", ("read_file", {"path": "/files/hello.txt"}))
        assert "Hello from the filesystem server's volume." in files["answers"][0]["text"]
        shop = deployment.call("postgres", ("run_query", {"sql": "SELECT count(*) AS n FROM purchase"}))
        assert "\nn\n200\n" in shop["answers"][0]["text"]
        # What can be seen without asking anybody outside.
        hub = deployment.call("github", ("get_repo", {"repo": "no-name"}))
        assert "bad_repo:" in hub["answers"][0]["text"]
        web = deployment.call("websearch", ("show_engines", {}))
        assert "duckduckgo: ready" in web["answers"][0]["text"]

    def test_answers_that_come_at_once_come_whole(self, deployment: Deployment) -> None:
        assert deployment.lists("github") == {"right": LISTS}

    def test_what_the_demo_key_does_not_hold_is_not_offered(self, deployment: Deployment) -> None:
        offered = deployment.call("filesystem")["tools"]
        assert "write_file" in offered
        assert "delete_path" not in offered
        reader = deployment.add_key("reader", "filesystem:read")
        assert "write_file" not in deployment.call("filesystem", key=reader)["tools"]

    def test_nobody_gets_in_without_a_key_or_around_caddy(self, deployment: Deployment) -> None:
        for server in SERVERS:
            assert deployment.get(f"/{server}")[0] == 401
            wrong = deployment.key[:-6] + "AAAAAA"
            assert deployment.get(f"/{server}", f"Authorization: Bearer {wrong}")[0] == 401
        for path in ("/livez", "/readyz", "/metrics", "/mcp", "/filesystem/mcp", "/filesystem/../metrics", "/"):
            assert deployment.get(path, f"Authorization: Bearer {deployment.key}")[0] == 404, path
        # The engine's own machine reaches containers: what comes from there isn't Caddy, whatever it says of itself.
        (address,) = self.addresses(deployment, "filesystem")
        status, said = deployment.get(
            f"http://{address}:8000/mcp",
            "Host: localhost",
            f"Authorization: Bearer {deployment.key}",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: https",
        )
        assert status == 403
        assert "reached through its proxy alone" in said

    def test_a_revoked_key_is_refused_without_a_restart(self, deployment: Deployment) -> None:
        gone = deployment.add_key("gone", "websearch:read")
        assert deployment.call("websearch", key=gone)["tools"]
        deployment.run("run", "--rm", "-T", "setup", "keys", "revoke", "--name", "gone")
        until(lambda: deployment.get("/websearch", f"Authorization: Bearer {gone}")[0] == 401)

    def test_setup_changes_nothing_that_is_there(self, deployment: Deployment) -> None:
        places = {
            "filesystem": "/etc/gatelodge/config.toml",
            "postgres": "/etc/gatelodge/config.toml",
            "valkey": "/etc/valkey/valkey.conf",
            "database": "/run/database/server.crt",
        }
        before = [deployment.inside(service, "sha256sum", path) for service, path in places.items()]
        said = deployment.run("run", "--rm", "-T", "setup")
        assert "There are keys already" in said
        assert not SECRET.search(said)
        assert [deployment.inside(service, "sha256sum", path) for service, path in places.items()] == before

    @pytest.mark.parametrize("service", ALL)
    def test_a_container_is_hardened_seen_from_the_inside(self, deployment: Deployment, service: str) -> None:
        lines = deployment.inside(service, "cat", "/proc/1/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert status["Uid"].split() == ["10001"] * 4
        assert status["Gid"].split() == ["10001"] * 4
        assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} <= {0, 1 << 10}
        assert int(status["CapEff"], 16) == 0
        # One bit, and for one alone: see compose.yaml.
        assert int(status["CapBnd"], 16) == (1 << 10 if service == "caddy" else 0)
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        mounts = [line.split() for line in deployment.inside(service, "cat", "/proc/mounts").splitlines()]
        (root,) = [mount for mount in mounts if mount[1] == "/"]
        assert "ro" in root[3].split(",")
        (scratch,) = [mount for mount in mounts if mount[1] == "/tmp"]
        assert {"rw", "noexec", "nosuid", "nodev"} <= set(scratch[3].split(","))
        for path in ("/probe", "/usr/bin/probe"):
            said = deployment.inside(service, "sh", "-c", f"echo > {path}", check=False)
            assert "Read-only file system" in said or "Permission denied" in said, said
        assert not [mount for mount in mounts if "docker.sock" in mount[1]]
        assert "No such file" in deployment.inside(service, "ls", "/var/run/docker.sock", check=False)
        limit = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
        assert int(deployment.inside(service, "sh", "-c", limit)) == 512 * 1024 * 1024
        tasks = "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max"
        assert int(deployment.inside(service, "sh", "-c", tasks)) == 128

    def test_servers_are_confined_by_the_kernel_besides(self, deployment: Deployment) -> None:
        ask = (
            "import glob, http.client; c = http.client.HTTPConnection('127.0.0.1', 8000); c.request('GET', '/readyz'); "
            "print(c.getresponse().read().decode()); "
            "[print(open(path).readline()) for path in glob.glob('/var/lib/gatelodge/journal/{}-*.jsonl')]"
        )
        for server in SERVERS:
            said = deployment.python(server, ask.format(server)).splitlines()
            ready, *journals = [json.loads(line) for line in said if line]
            assert ready == {"status": "ok"}
            assert journals
            for header in journals:
                assert "seccomp" in header["sandbox"]
                assert "rlimits" in header["sandbox"]

    def test_no_secret_is_in_an_environment_an_argument_or_a_log(self, deployment: Deployment) -> None:
        found = SECRET.findall(deployment.inside("postgres", "cat", "/etc/gatelodge/config.toml"))
        known = {*found, deployment.key}
        assert len(known) == 4
        for service in ALL:
            facts = deployment.inspect(service)["Config"]
            shown = json.dumps([facts["Env"], facts["Cmd"], facts["Entrypoint"]])
            shown += deployment.inside(service, "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; env")
            assert not SECRET.search(json.dumps(facts["Env"])), service
            shown += deployment.run("logs", "--no-log-prefix", service)
            assert not [secret for secret in known if secret in shown], service

    def test_each_server_sees_its_own_settings_and_hashed_keys_alone(self, deployment: Deployment) -> None:
        sealing: set[str] = set()
        for server in SERVERS:
            assert set(deployment.inside(server, "ls", "-A", "/etc/gatelodge").split()) == {
                "ca.crt",
                "config.toml",
                "state.key",
                "store.key",
            }
            assert deployment.key not in deployment.inside(server, "cat", "/run/gatelodge/keys.json")
            said = deployment.inside(server, "sh", "-c", "echo > /run/gatelodge/keys.json", check=False)
            assert "Read-only" in said
            sealing.add(SECRET.findall(deployment.inside(server, "cat", "/etc/gatelodge/config.toml"))[1])
        assert len(sealing) == len(SERVERS)

    def test_only_those_that_need_the_internet_have_a_way_out(self, deployment: Deployment, outside: int) -> None:
        for server in SERVERS:
            said = deployment.python(server, CONNECT.format(OUTSIDE, outside), check=False)
            assert (said.strip() == "connected") == (server not in CLOSED), f"{server}: {said}"
        for service in ("valkey", "database"):
            ask = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{OUTSIDE}/{outside}' && echo connected"
            assert "connected" not in deployment.inside(service, "sh", "-c", ask, check=False)

    def test_servers_do_not_reach_each_other_nor_what_belongs_to_another(self, deployment: Deployment) -> None:
        # By name, and by every address that it has.
        targets = {server: [server, *self.addresses(deployment, server)] for server in SERVERS}
        database = ["database", *self.addresses(deployment, "database")]

        def attempt(one: str) -> list[str]:
            tried = [(target, 8000) for other in SERVERS if other != one for target in targets[other]]
            tried += [(target, 5432) for target in database if one != "postgres"]
            program = (
                "import socket, threading\n"
                "def reach(target):\n"
                "    try: socket.create_connection(target, 3); print('reached', target)\n"
                "    except OSError: pass\n"
                "    print('tried')\n"
                f"for target in {tried!r}: threading.Thread(target=reach, args=(target,)).start()\n"
            )
            said = deployment.python(one, program).splitlines()
            assert said.count("tried") == len(tried)
            return [line for line in said if line != "tried"]

        # At once, since a name that nobody knows is asked for a while.
        with ThreadPoolExecutor() as pool:
            assert list(pool.map(attempt, SERVERS)) == [[]] * len(SERVERS)

    def test_valkey_and_postgresql_answer_over_tls_to_those_with_a_password(self, deployment: Deployment) -> None:
        ask = "exec 3<>/dev/tcp/127.0.0.1/6379; printf 'PING\\r\\n' >&3; timeout 3 head -c 5 <&3"
        assert "PONG" not in deployment.inside("valkey", "bash", "-c", ask, check=False)
        plain = ["valkey-cli", "--tls", "--cacert", "/etc/valkey/ca.crt", "--sni", "valkey"]
        assert "NOAUTH" in deployment.inside("valkey", *plain, "keys", "*", check=False)
        assert deployment.call("postgres", ("run_query", {"sql": "SELECT 1 AS n"}))["answers"]
        seen = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'gatelodge_ro'"
        assert self.sql(deployment, seen) == "t"

    def test_each_server_has_an_account_of_its_own_in_valkey_and_the_person_another(
        self, deployment: Deployment
    ) -> None:
        ask = (
            "import asyncio, sys\n"
            "from gatelodge_core.settings import LodgeSettings\n"
            "from gatelodge_core.store.errors import StoreError\n"
            "from gatelodge_core.store.shared import Script, SharedStore\n"
            "import tomllib\n"
            "told = tomllib.load(open('/etc/gatelodge/config.toml', 'rb'))\n"
            "given = {name: told[name] for name in ('store_url', 'store_ca_file')}\n"
            "async def main():\n"
            "    store = SharedStore(SharedStore.address_of(LodgeSettings.model_validate(given)), deadline=5)\n"
            "    async with store.life():\n"
            "        for name in sys.argv[1:]:\n"
            "            try: await store.run(Script.of('return redis.call(\"SET\", KEYS[1], 1)'), [f'gatelodge:{name}:x'])\n"
            "            except StoreError: print('-', end='')\n"
            "            else: print('+', end='')\n"
            "    print()\n"
            "asyncio.run(main())\n"
        )
        for number, server in enumerate(SERVERS):
            said = deployment.inside(server, "python", "-I", "-c", ask, *SERVERS, "revoked")
            # On its first line; what the store's log says follows.
            assert said.splitlines()[0] == "".join("+" if place == number else "-" for place in range(5)), said
        # What the servers may not do a person can, without any of them.
        run = ("run", "--rm", "-T", "keeper")
        deployment.run(*run, "revoke", "key:nobody", "--for", "1h")
        assert "key:nobody" in deployment.run(*run, "revoke")
        assert "Nothing waits for approval." in deployment.run(*run, "approve")

    def test_a_server_that_is_told_to_end_lets_the_call_in_flight_end(self, deployment: Deployment) -> None:
        task = deployment.task("postgres", ("run_query", {"sql": LONG}))
        running = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gatelodge_ro' AND state = 'active'"
        with deployment.client("call", task) as client:
            until(lambda: self.sql(deployment, running) != "0")
            deployment.run("stop", "postgres")
            assert client.stdout is not None
            (answer,) = json.loads(client.stdout.read())["answers"]
        assert "\nn\n40000000\n" in answer["text"]
        assert deployment.inspect("postgres")["State"]["ExitCode"] == 0
        deployment.run("up", "--detach", "--wait", "--no-build", "--no-deps", "postgres")
        assert deployment.call("postgres")["tools"]

    def test_a_replica_killed_under_load_costs_its_own_calls_alone(self, deployment: Deployment) -> None:
        deployment.run(*SCALE, "filesystem=3")
        task = self.canaries(deployment, callers=3, clients=4)
        with deployment.client("load", task) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            said, made = client.stdout, 0
            while made < 300:
                made = int(said.readline())
            victim = deployment.ids("filesystem")[0]
            subprocess.run([*deployment.docker, "kill", "--signal", "KILL", victim], check=True, capture_output=True)
            while made < 900:
                made = int(said.readline())
            client.stdin.close()
            counts: dict[str, int] = json.loads(said.read().splitlines()[-1])
        assert "wrong" not in counts
        # Each of the twelve clients can have had one call there, and one in the moment in which Caddy learns of it. A slow
        # machine's store may be late besides: then calls are refused, which is no loss.
        refused = ("status 429", "status 503")
        lost = sum(number for how, number in counts.items() if how != "right" and not how.startswith(refused))
        assert lost <= 24, counts
        assert counts["right"] >= 850
        deployment.run(*SCALE, "filesystem=3")
        deployment.run(*SCALE, "filesystem=1")
        # Of the killed one too, whose last record may be the beginning of a call.
        deployment.inside("websearch", "gatelodge", "audit", "verify")

    @staticmethod
    def canaries(deployment: Deployment, *, callers: int, clients: int) -> Task:
        """For each of some callers, a file that only this one reads."""
        keys = [deployment.add_key(f"caller{number}", "filesystem:read") for number in range(callers)]
        wanted = [secrets.token_hex(8) for _ in keys]
        paths = [f"/files/canary{number}.txt" for number in range(callers)]
        pairs = zip(paths, wanted, strict=True)
        written = [("write_file", {"path": path, "content": f"canary {text}\n"}) for path, text in pairs]
        answers = deployment.call("filesystem", *written)["answers"]
        assert not [answer for answer in answers if answer["error"]], answers
        task = deployment.task("filesystem", *[("read_file", {"path": path}) for path in paths])
        return {**task, "keys": keys, "wanted": wanted, "clients": clients}

    @staticmethod
    def addresses(deployment: Deployment, service: str) -> list[str]:
        """Of a service's first container, in all of its networks."""
        networks: dict[str, Any] = deployment.inspect(service)["NetworkSettings"]["Networks"]
        return [network["IPAddress"] for network in networks.values() if network["IPAddress"]]

    @staticmethod
    def sql(deployment: Deployment, query: str) -> str:
        """What the superuser sees."""
        ask = f'PGPASSWORD=$(cat $POSTGRES_PASSWORD_FILE) psql -h 127.0.0.1 -U postgres -d shop -At -c "{query}"'
        return deployment.inside("database", "sh", "-c", ask).strip()


@pytest.fixture(scope="module")
def outside(bridges: Engine) -> Generator[int]:
    """The port of somebody outside who takes connections."""
    if not bridges.outside:
        pytest.skip("only an engine of tests/containers/engine.sh has an outside that is ours")
    program = (
        "import socket\n"
        f"listener = socket.create_server(({OUTSIDE!r}, 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "while True: listener.accept()[0].close()\n"
    )
    command = [*bridges.outside, sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        try:
            yield int(listener.stdout.readline())
        finally:
            listener.kill()
