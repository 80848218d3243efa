"""The banner of `up`: what it tells people to type works as it stands there."""

from typing import Annotated

import pytest
from msgspec import Meta

from millstream import App
from millstream_cli.rendering.banner import example

DEFAULT = "http://127.0.0.1:8080"
app = App("shop")


@app.job("shop.hard")
def hard(payload: Annotated[str, Meta(pattern="^[0-9]{4}$")]) -> None:
    """Take what is not made up."""


@app.job("shop.send")
def send(payload: dict[str, int]) -> None:
    """Take what is."""


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no variable name the API."""
    monkeypatch.delenv("MILLSTREAM_URL", raising=False)


def test_example_is_a_job_of_the_apps_that_run() -> None:
    """The first type for which a payload can be made up."""
    assert example(app, DEFAULT, has_workers=True) == """millstream submit shop.send '{"name":1}' --wait 5"""


def test_example_names_the_address_where_it_is_another_than_the_default() -> None:
    """A command without it would go elsewhere."""
    assert example(app, "http://127.0.0.1:9000", has_workers=True).endswith(" --wait 5 --url http://127.0.0.1:9000")


def test_example_names_the_address_where_a_variable_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal beside this one most likely has the variable too."""
    monkeypatch.setenv("MILLSTREAM_URL", "http://127.0.0.1:9000")
    assert example(app, DEFAULT, has_workers=True).endswith(f" --url {DEFAULT}")


def test_example_does_not_wait_where_no_worker_runs() -> None:
    """The job would not end."""
    assert example(app, DEFAULT, has_workers=False) == """millstream submit shop.send '{"name":1}'"""


def test_example_lists_the_types_where_no_payload_can_be_made_up() -> None:
    """The list leads on to what each takes."""
    assert example(App("empty"), DEFAULT, has_workers=True) == "millstream types"
