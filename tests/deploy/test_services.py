"""The manifests leave the number of pods to what scales them, mount secrets as files, and label releases."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from deploy.manifests import OVERLAYS, needs_kubectl, pod_of, rendered
from msgspec.structs import fields

from millstream_cli.settings import ALL_SETTINGS, MigrateSettings
from millstream_runtime import variables_of

pytestmark = needs_kubectl
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=str)
BASE = Path("deploy/k8s/base")
SERVICES = {"ingest", "dispatcher", "worker", "reaper", "console"}


def deployments(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the Deployments of Millstream's services, by name."""
    found = {name: one for (kind, name), one in rendered(folder).items() if kind == "Deployment"}
    assert found.keys() == SERVICES
    return found


@every_overlay
def test_every_overlay_has_all_services(overlay: Path) -> None:
    """Each overlay renders with all services."""
    assert deployments(overlay)


@every_overlay
def test_an_apply_does_not_say_how_many_pods_there_are_of_what_scales(overlay: Path) -> None:
    """An overlay sets no number of pods for what scales, which an apply would reset."""
    found = deployments(overlay)
    assert {name for name, one in found.items() if "replicas" in one["spec"]} == {"dispatcher", "reaper", "console"}


def test_the_autoscalers_keep_two_of_what_they_scale() -> None:
    """The autoscalers keep two pods, so that one is left while a node is drained."""
    found = rendered(Path("deploy/k8s/overlays/history"))
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"] for (kind, _), one in found.items() if "Autosc" in kind
    }
    assert scaled.keys() == {"ingest", "worker"}
    assert {spec["minReplicas"] for spec in scaled.values()} == {2}


@every_overlay
def test_no_secret_is_a_variable(overlay: Path) -> None:
    """A secret is a file and not a variable, which `kubectl describe` would show and handlers' programs inherit."""
    workloads = [one for (kind, _), one in rendered(overlay).items() if kind in {"Deployment", "Job"}]
    for pod in map(pod_of, workloads):
        for container in pod["containers"]:
            assert "valueFrom" not in str(container.get("env", [])), container["args"]
            assert "secretRef" not in str(container.get("envFrom", [])), container["args"]
            for variable in container.get("env", []):
                if variable["name"].endswith("_FILE"):
                    assert any(variable["value"].startswith(one["mountPath"]) for one in container["volumeMounts"])


@every_overlay
def test_every_variable_of_the_manifests_is_a_setting(overlay: Path) -> None:
    """Every variable in the manifests is a setting, because a service refuses any other."""
    structs = (*ALL_SETTINGS, MigrateSettings)
    known = {name for struct in structs for field in fields(struct) for name in variables_of(field.name)}
    for (kind, _), one in rendered(overlay).items():
        if kind in {"Deployment", "Job"}:
            names = {variable["name"] for c in pod_of(one)["containers"] for variable in c.get("env", [])}
            assert names <= known
        elif kind == "ConfigMap" and one["metadata"]["name"].startswith("millstream-settings"):
            assert one["data"].keys() <= known


def test_labels_name_this_release_and_this_installation_and_no_selector_does() -> None:
    """Labels name release and installation, and selectors do not, because a selector cannot change."""
    for name, one in deployments(BASE).items():
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert (
            labels
            == one["metadata"]["labels"]
            == {
                "app.kubernetes.io/name": name,
                "app.kubernetes.io/part-of": "millstream",
                "app.kubernetes.io/instance": "millstream",
                "app.kubernetes.io/version": version("millstream"),
            }
        )
        assert one["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_pods_of_a_service_are_spread_by_labels_that_they_have() -> None:
    """The spread constraints of a service match its own pods, each by a key of its own."""
    for one in deployments(BASE).values():
        labels = one["spec"]["template"]["metadata"]["labels"]
        constraints = pod_of(one)["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in constraints} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }
        for each in constraints:
            matched = each["labelSelector"]["matchLabels"]
            assert matched.items() <= labels.items()
            assert matched.keys().isdisjoint(each["matchLabelKeys"])
            assert set(each["matchLabelKeys"]) <= {*labels, "pod-template-hash"}


@every_overlay
def test_every_pod_has_an_account_of_its_own_that_may_do_nothing(overlay: Path) -> None:
    """Every pod has a service account of its own, without a token or a role."""
    found = rendered(overlay)
    assert found["ServiceAccount", "millstream"]["automountServiceAccountToken"] is False
    for (kind, _), one in found.items():
        assert "Role" not in kind
        if kind in {"Deployment", "Job"}:
            assert pod_of(one)["serviceAccountName"] == "millstream"
            assert pod_of(one)["automountServiceAccountToken"] is False
