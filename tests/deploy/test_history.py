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


@needs_kubectl
def test_in_kubernetes_ingest_reads_the_history_that_the_dispatchers_write() -> None:
    """In Kubernetes ingest has the address of the history as the dispatchers have it, and waits for nothing."""
    found = rendered(Path("deploy/k8s/overlays/history"))
    ingest, dispatcher = pod_of(found["Deployment", "ingest"]), pod_of(found["Deployment", "dispatcher"])
    assert "initContainers" not in ingest
    of_ingest, of_dispatcher = (
        {str(one) for [container] in [pod["containers"]] for one in (*container["env"], *container["volumeMounts"])}
        for pod in (ingest, dispatcher)
    )
    assert {one for one in of_dispatcher if "history" in one} <= of_ingest


def test_in_compose_ingest_reads_the_history_that_the_dispatchers_write() -> None:
    """In Compose ingest has the address of the history as the dispatchers have it, and does not wait for it."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    urls = {services[name]["environment"]["MILLSTREAM_HISTORY_URL"] for name in ("ingest", "dispatcher", "migrate")}
    assert len(urls) == 1
    assert services["ingest"]["depends_on"].keys() == {"redis"}


def test_in_compose_the_dispatcher_is_started_whatever_becomes_of_the_migration() -> None:
    """In Compose the dispatcher starts whether the migration succeeds or not."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    needed = {name for name, how in services["dispatcher"]["depends_on"].items() if how.get("required", True)}
    assert needed == {"redis"}
    [(dependency, how)] = services["migrate"]["depends_on"].items()
    assert (dependency, how["condition"]) == ("postgres", "service_started")
    # Without a service that waits for its end `up --wait` would take the end of it for a failure.
    assert services["dispatcher"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
