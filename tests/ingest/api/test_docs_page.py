"""The documentation pages load nothing from other origins."""

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from millstream_ingest.api import docs_page
from millstream_ingest.api.app import routed
from millstream_ingest.http.refusal_log import RefusalLog

ASSETS = Path(docs_page.__file__).with_name("assets")


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    """Return a client of an application that has the pages and nothing else."""
    services = SimpleNamespace(refusals=RefusalLog(), door=SimpleNamespace(limits_of=lambda *_: None))
    app = Litestar(
        [*routed(services, [docs_page.api_page, docs_page.problem_page]), docs_page.asset_router()], openapi_config=None
    )
    with TestClient(app) as client:
        yield client


class References(HTMLParser):
    """A parser that collects the URLs that a page loads, and its inline scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the URLs of an element."""
        values = dict(attrs)
        self.urls += [value for name, value in attrs if name in {"src", "href"} and value]
        self.inline_scripts += tag == "script" and not values.get("src")


def test_page_loads_only_files_of_this_origin(client):
    """The page loads its styles, scripts and icon from this origin, and has no inline script."""
    page = client.get("/docs")
    assert page.status_code == 200
    found = References()
    found.feed(page.text)
    assert found.inline_scripts == 0
    assert len(found.urls) == 4
    for url in found.urls:
        assert url.startswith("/docs/assets/")
        assert client.get(url).status_code == 200


def test_page_forbids_other_origins_by_its_policy(client):
    """The content security policy of the page forbids other origins."""
    policy = client.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"https?:|\*", policy)


def test_assets_have_the_type_that_browsers_insist_on(client):
    """Each asset has the content type that browsers require."""
    assert client.get("/docs/assets/start.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/docs/assets/swagger-ui.css").headers["content-type"].startswith("text/css")
    assert client.get("/docs/assets/favicon.svg").headers["content-type"].startswith("image/svg+xml")


def test_vendored_files_are_those_that_the_readme_names():
    """Each vendored file is unchanged from the release that its README names."""
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (ASSETS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) == 2
    for digest, name in listed:
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest


def test_assets_are_all_that_can_be_read(client):
    """No path leads out of the folder of assets."""
    assert client.get("/docs/assets/../docs_page.py").status_code == 404
    assert client.get("/docs/assets/%2e%2e/docs_page.py").status_code == 404
    assert client.get("/docs/assets//etc/passwd").status_code == 404


def test_problem_page_explains_the_problem(client):
    """The `type` of each problem leads to its page."""
    assert client.get("/problems/too-large").text.startswith("## too-large")
    assert client.get("/problems/nothing").status_code == 404
