"""Renders the overlays of deploy/k8s, as kubectl does."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(path.parent.relative_to(ROOT) for path in ROOT.glob("deploy/k8s/overlays/*/kustomization.yaml"))
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="it needs kubectl to render the overlays")


def rendered(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of an overlay, by kind and name."""
    command = ["kubectl", "kustomize", str(ROOT / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a workload's pods."""
    return workload["spec"]["template"]["spec"]
