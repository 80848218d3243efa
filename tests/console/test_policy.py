"""What a browser may load, whose requests are taken, and under which path the console is."""

import gzip
import re

import httpx2
import pytest
from console.serving import Browser, running_console
from msgspec.structs import replace
from structlog.testing import capture_logs

from millstream_console.settings import ConsoleSettings

FOREIGN = {"sec-fetch-site": "cross-site"}


async def test_page_may_load_nothing_from_elsewhere_and_run_nothing_that_stands_in_it(console: Browser) -> None:
    """The policy names no other origin, and neither `unsafe-inline` nor `unsafe-eval`; there is nothing inline."""
    page = await console.get("/queues")
    policy = page.response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.response.headers["x-content-type-options"] == "nosniff"
    assert page.response.headers["referrer-policy"] == "same-origin"
    assert page.response.headers["cache-control"] == "no-store"
    assert all(script.get("src") and not script.string for script in page.all("script"))
    assert not page.all("style")
    assert not page.all("[style]")
    assert not [name for tag in page.all("*") for name in tag.attrs if name.startswith("on")]


async def test_file_has_its_hash_in_its_address_and_is_kept_for_ever(console: Browser) -> None:
    """A new release has new addresses, so that no browser shows an old style with a new page."""
    page = await console.get("/queues")
    address = page.the("link[rel=stylesheet]")["href"]
    style = await console.http.get(address)
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in style.headers["cache-control"]
    stale = re.sub(r"/static/[0-9a-f]+/", "/static/000000000000/", str(address))
    assert (await console.http.get(stale)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/static/../settings.py", "/static/%2e%2e/settings.py", "/static/x/vendor/vendor.toml"]
)
async def test_nothing_but_the_files_of_pages_is_sent(console: Browser, path: str) -> None:
    """A path that leaves the folder, or names another kind of file, leads nowhere."""
    assert (await console.http.get(path)).status_code == 404


async def test_page_and_files_are_packed_for_browsers_that_say_so(console: Browser) -> None:
    """A page goes over the wire in a fraction of its size."""
    async with console.http.stream("GET", "/queues", headers={"accept-encoding": "gzip"}) as packed:
        body = b"".join([piece async for piece in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert b"<!doctype html>" in gzip.decompress(body)
    plain = await console.http.get("/queues", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(body) < len(plain.content) / 3


async def test_console_of_this_machine_answers_only_to_names_of_this_machine(console: Browser) -> None:
    """A site whose name leads to this machine could else read the console as its own pages."""
    assert (await console.http.get("/queues", headers={"host": "evil.example"})).status_code == 403
    for host in ("localhost:1", "127.0.0.1:99", "[::1]:8090", "LOCALHOST"):
        assert (await console.http.get("/queues", headers={"host": host})).status_code == 200


async def test_console_answers_to_the_names_that_it_was_given(ingest) -> None:
    """Behind a proxy it has another name, and those of this machine still do for probes."""
    settings = ConsoleSettings(url=str(ingest.http.base_url), console_hosts=("jobs.example.com",))
    async with running_console(settings) as console:
        answers = {
            host: (await console.http.get("/queues", headers={"host": host})).status_code
            for host in ("jobs.example.com", "Jobs.Example.com:443", "localhost", "example.com", "xjobs.example.com")
        }
    assert answers == {
        "jobs.example.com": 200,
        "Jobs.Example.com:443": 200,
        "localhost": 200,
        "example.com": 403,
        "xjobs.example.com": 403,
    }


@pytest.mark.parametrize(
    "headers",
    [FOREIGN, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}, {"origin": "null"}],
    ids=str,
)
async def test_change_that_another_site_asks_for_is_refused(console: Browser, ingest, headers: dict[str, str]) -> None:
    """The request changes nothing, whatever it asks for."""
    job = await ingest.submit(delay_s=3600)
    answer = await console.http.post(f"/jobs/{job['id']}/cancel", headers=headers)
    assert answer.status_code == 403
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["state"] == "scheduled"


async def test_pages_are_below_the_path_of_a_proxy(ingest) -> None:
    """Every address on a page begins with it."""
    settings = ConsoleSettings(url=str(ingest.http.base_url), console_path="/millstream")
    async with running_console(settings) as console:
        page = await console.get("/queues")
        outside = await console.http.get(str(console.http.base_url).replace("/millstream/", "/queues"))
    addresses = [str(tag[name]) for name in ("href", "src", "action") for tag in page.all(f"[{name}]")]
    assert outside.status_code == 404
    assert [one for one in addresses if not one.startswith(("/millstream", "#"))] == []
    assert page.the("html")["data-base"] == "/millstream"


async def test_page_in_a_frame_is_for_the_sites_that_are_named(ingest) -> None:
    """An embedded page has no navigation; without the setting no page may stand in a frame."""
    named = ConsoleSettings(url=str(ingest.http.base_url), console_frame_ancestors=("https://grafana.example.com",))
    async with running_console(named) as console:
        embedded, whole = await console.get("/queues?embed=1"), await console.get("/queues")
    assert "frame-ancestors https://grafana.example.com" in embedded.response.headers["content-security-policy"]
    assert not embedded.all("nav.side")
    assert "frame-ancestors 'none'" in whole.response.headers["content-security-policy"]
    async with running_console(replace(named, console_frame_ancestors=())) as console:
        refused = await console.get("/queues?embed=1")
    assert "frame-ancestors 'none'" in refused.response.headers["content-security-policy"]
    assert refused.all("nav.side")


async def test_theme_is_in_the_page_so_that_nothing_flashes(console: Browser) -> None:
    """A theme that is none is not written into the page."""
    for cookie, theme in (("dark", "dark"), ("light", "light"), ('"><script>', None), ("", None)):
        response = await console.http.get("/queues", headers={"cookie": f"theme={cookie}"})
        found = re.search(r'<html lang="en" data-theme="(\w+)"', response.text)
        assert (found[1] if found else None) == theme


async def test_probes_are_answered_while_the_api_is_away(free_tcp_port: int) -> None:
    """A console that restarts while ingest does is ready to say so, and logs why its pages do not come."""
    async with running_console(ConsoleSettings(url=f"http://127.0.0.1:{free_tcp_port}")) as console:
        assert (await console.http.get("/readyz")).status_code == 200
        with capture_logs() as lines:
            page = await console.get("/queues", 503)
    assert page.the("h1").text == "The API is away"
    assert [(line["event"], line["path"]) for line in lines] == [("page not available", "/queues")]
    assert "All connection attempts failed" in lines[0]["problem"]
    assert page.response.headers["refresh"] == page.response.headers["retry-after"]


async def test_page_that_does_not_exist_says_so(console: Browser) -> None:
    """The text of the address is shown, and not obeyed."""
    page = await console.get("/nowhere/<script>x</script>", 404)
    assert page.the("h1").text == "There is no such page"
    assert not [script for script in page.all("script") if script.string]


async def test_cookies_are_not_for_scripts_of_others(console: Browser) -> None:
    """What a toast says stays in the console, below its path."""
    response: httpx2.Response = await console.http.get("/queues", headers={"cookie": "millstream-toast=rubbish"})
    assert response.status_code == 200


async def test_password_of_the_address_of_the_api_is_on_no_page(free_tcp_port: int) -> None:
    """Where ingest is behind a proxy with a login, the console has the password, and pages do not."""
    settings = ConsoleSettings(url=f"http://ann:secret4711@127.0.0.1:{free_tcp_port}/api?token=secret4711")
    async with running_console(settings) as console:
        page = await console.get("/queues", 503)
    assert f"127.0.0.1:{free_tcp_port}" in page.text
    assert "secret4711" not in page.html
