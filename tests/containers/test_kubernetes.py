"""docker/kubernetes as kustomize renders it."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any, cast

import pytest
import yaml

from tests.containers.deployment import ROOT, SERVERS

Manifest = dict[str, Any]
CLOSED = {"hostNetwork", "hostPID", "hostIPC", "hostPath", "privileged"}


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """All that would be applied; a skip where no kustomize of version 5 is at hand."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            done = subprocess.run(
                [*command, str(ROOT / "docker" / "kubernetes")], capture_output=True, text=True, check=False
            )
            # That of old kubectl knows neither `labels` nor `patches`.
            if done.returncode and "unknown field" in done.stderr:
                continue
            assert done.returncode == 0, done.stderr
            return [cast("Manifest", found) for found in yaml.safe_load_all(done.stdout)]
    pytest.skip("neither kustomize nor a kubectl that has it is installed")


def of(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Manifests of a kind by name."""
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] == kind}


def test_every_server_has_its_parts_and_nothing_is_left_to_be_replaced(manifests: list[Manifest]) -> None:
    names = {f"gatelodge-{server}" for server in SERVERS}
    for kind in ("Deployment", "Service", "HTTPRoute", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        assert set(of(manifests, kind)) == names, kind
    assert set(of(manifests, "NetworkPolicy")) == {*names, "default-deny"}
    assert "replaced" not in yaml.safe_dump(manifests)
    # Secrets are referred to, and are nobody's here.
    assert not of(manifests, "Secret")


def test_pods_meet_the_restricted_standard(manifests: list[Manifest]) -> None:
    space = of(manifests, "Namespace")["gatelodge"]["metadata"]["labels"]
    assert space["pod-security.kubernetes.io/enforce"] == "restricted"
    for deployment in of(manifests, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert not any(word in yaml.safe_dump(pod) for word in CLOSED)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        outer = pod["securityContext"]
        assert outer["runAsNonRoot"] is True
        assert outer["runAsUser"] == 10001
        assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        inner = container["securityContext"]
        assert inner["allowPrivilegeEscalation"] is False
        assert inner["readOnlyRootFilesystem"] is True
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        for volume in pod["volumes"]:
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440


def test_each_server_is_told_its_own_name_settings_and_keys(manifests: list[Manifest]) -> None:
    config = of(manifests, "ConfigMap")
    (known,) = config
    for server in SERVERS:
        pod = of(manifests, "Deployment")[f"gatelodge-{server}"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        told = {variable["name"]: variable["value"] for variable in container["env"]}
        assert told["GATELODGE_PUBLIC_URL"].endswith(f"/{server}")
        assert container["envFrom"] == [{"configMapRef": {"name": known}}]
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        assert secrets == {"settings": f"gatelodge-{server}", "keys": "gatelodge-keys"}
        assert f"gatelodge-{server}" in {
            volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]
        }
        rules = of(manifests, "HTTPRoute")[f"gatelodge-{server}"]["spec"]["rules"]
        assert rules[0]["matches"] == [{"path": {"type": "Exact", "value": f"/{server}"}}]
        assert {rule["backendRefs"][0]["name"] for rule in rules} == {f"gatelodge-{server}"}


def test_a_pod_is_asked_by_a_name_it_has_and_given_time_to_end(manifests: list[Manifest]) -> None:
    for deployment in of(manifests, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            asked = container[probe]["httpGet"]
            assert asked["path"] == path
            assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
        # 25 s for calls, 3 s for the balancer, and the rest for the journal.
        assert pod["terminationGracePeriodSeconds"] >= 30


def test_selectors_of_one_server_never_match_another(manifests: list[Manifest]) -> None:
    pods = {
        name: found["spec"]["template"]["metadata"]["labels"] for name, found in of(manifests, "Deployment").items()
    }
    for server in SERVERS:
        name = f"gatelodge-{server}"
        selectors = [
            of(manifests, "Deployment")[name]["spec"]["selector"]["matchLabels"],
            of(manifests, "Service")[name]["spec"]["selector"],
            of(manifests, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"],
            of(manifests, "NetworkPolicy")[name]["spec"]["podSelector"]["matchLabels"],
        ]
        for selector in selectors:
            assert [pod for pod, labels in pods.items() if selector.items() <= labels.items()] == [name]
        scaled = of(manifests, "HorizontalPodAutoscaler")[name]["spec"]["scaleTargetRef"]["name"]
        assert scaled == name


def test_only_github_and_websearch_may_go_out_and_never_to_what_is_private(manifests: list[Manifest]) -> None:
    closed = of(manifests, "NetworkPolicy")["default-deny"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for server in SERVERS:
        policy = of(manifests, "NetworkPolicy")[f"gatelodge-{server}"]["spec"]
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        blocks = [peer["ipBlock"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer]
        assert bool(blocks) == (server in ("github", "websearch"))
        for block in blocks:
            assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(block["except"])
        # Every other peer is named, and every rule has ports.
        assert all(rule["ports"] for rule in (*policy["egress"], *policy["ingress"]))
        named = [peer for rule in policy["egress"] for peer in rule["to"] if "namespaceSelector" in peer]
        assert all(peer["namespaceSelector"]["matchExpressions"] for peer in named)
        databases = "database" in yaml.safe_dump(policy)
        assert databases == (server == "postgres")
