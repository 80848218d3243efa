"""What is installed is pinned, actions too, and the pages about security name what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = sorted((ROOT / "requirements").glob("*.txt"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_dependencies_are_pinned_with_hashes_and_without_addresses(path: Path) -> None:
    """Each requirement has one version and hashes, and no file names where it was downloaded from."""
    text = path.read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    pinned = [block for block in blocks if block.strip()]
    assert pinned
    for block in pinned:
        assert re.match(r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==[^\s;\\]+", block.strip()), block
        assert "--hash=sha256:" in block, block
    assert "://" not in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    """A tag of an action can be moved to other code; a commit cannot, and a comment says which release it is."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(path: Path) -> None:
    """A step that is taken over cannot write to the repository."""
    assert re.search(r"^permissions:\n  contents: read\n\n", path.read_text(), re.MULTILINE)


def test_threat_model_names_tests_that_there_are() -> None:
    """Each wall of the threat model names the files or folders of its tests."""
    rows = [line for line in (ROOT / "docs/threat-model.md").read_text().splitlines() if line.count("|") == 5]
    walls = [row.split("|")[4] for row in rows if row.split("|")[3].strip() not in {"wall", "---"}]
    assert len(walls) > 20
    for wall in walls:
        named = re.findall(r"`(tests/[^`]+)`", wall)
        assert named, wall
        assert [one for one in named if not (ROOT / one).exists()] == []
