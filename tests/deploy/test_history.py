"""The history is deployed so that a failed migration is visible, and no job waits for it."""

from pathlib import Path

import yaml
from deploy.manifests import ROOT, needs_kubectl, pod_of, rendered


@needs_kubectl
def test_in_kubernetes_a_job_migrates_and_the_dispatcher_waits_for_nothing() -> None:
    """In Kubernetes a Job migrates the database, and the dispatchers start without it."""
    found = rendered(Path("deploy/k8s/overlays/history"))
    dispatcher, migrate = pod_of(found["Deployment", "dispatcher"]), pod_of(found["Job", "migrate"])
    assert "initContainers" not in dispatcher
    [container] = migrate["containers"]
    assert container["args"][0] == "migrate"
    assert "command" not in container, "a shell around it would hide its exit status"
    assert container["image"] == dispatcher["containers"][0]["image"]


@needs_kubectl
def test_the_job_is_as_confined_as_the_services() -> None:
    """The Job of the migration is as confined as the services, because it holds the database password."""
    found = rendered(Path("deploy/k8s/overlays/history"))
    dispatcher, migrate = pod_of(found["Deployment", "dispatcher"]), pod_of(found["Job", "migrate"])
    confined = ("automountServiceAccountToken", "enableServiceLinks")
    assert {name: migrate[name] for name in confined} == {name: dispatcher[name] for name in confined}
    [ours], [theirs] = migrate["containers"], dispatcher["containers"]
    assert ours["securityContext"] == theirs["securityContext"]
    assert dispatcher["securityContext"].items() >= migrate["securityContext"].items()
    variable = {"name": "MILLSTREAM_HISTORY_URL_FILE"}
    [url], [same] = ([one for one in pod["env"] if one.items() >= variable.items()] for pod in (ours, theirs))
    assert url == same
    [mount], [same_mount] = (
        [one for one in pod["volumeMounts"] if url["value"].startswith(one["mountPath"])] for pod in (ours, theirs)
    )
    assert mount == same_mount


def test_in_compose_the_dispatcher_is_started_whatever_becomes_of_the_migration() -> None:
    """In Compose the dispatcher starts whether the migration succeeds or not."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    needed = {name for name, how in services["dispatcher"]["depends_on"].items() if how.get("required", True)}
    assert needed == {"redis"}
    [(dependency, how)] = services["migrate"]["depends_on"].items()
    assert (dependency, how["condition"]) == ("postgres", "service_started")
    # Without a service that waits for its end `up --wait` would take the end of it for a failure.
    assert services["dispatcher"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
