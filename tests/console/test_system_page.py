"""The system page over a real ingest, read without script."""

import base64
from datetime import UTC, datetime

from console.serving import Browser, running_console
from ingest.serving import patient, running_ingest

from millstream import System, SystemCheck
from millstream_codec import StoredDataKey
from millstream_console.pages.system.page import panels_of
from millstream_console.pages.system.report import report_of
from millstream_console.settings import ConsoleSettings
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker


async def test_checks_stand_in_panels_and_say_how_many_fail(console: Browser) -> None:
    """Each part has its checks; the head says how many need a look; what mends one stands below it."""
    page = await console.get("/system")
    titles = [one.get_text() for one in page.all("#live_checks h2")]
    assert titles[0] == "Redis"
    assert "Services" in titles
    head = page.the("#live_state").get_text()
    system = await console.desk.client.system()
    failing = sum(check.status != "ok" for check in system.checks)
    assert f"{failing} of {len(system.checks)} checks" in head
    for check in system.checks:
        assert check.detail in page.main
        if check.fix:
            assert check.fix.splitlines()[0] in page.main


async def test_the_system_without_a_history_says_so(console: Browser) -> None:
    """Without a history its number says none."""
    page = await console.get("/system")
    assert "History none" in page.main
    assert "Servers of Redis" in page.main


async def test_keys_of_encryption_are_shown_by_their_ids(
    console: Browser, broker: Broker, redis_url: str, namespace: str
) -> None:
    """A key-encryption key is shown with its state and what it wraps; where nothing is encrypted there is no table."""
    assert not (await console.get("/system")).all("#enc-h")
    key = StoredDataKey(kek="kek-2025", wrapped=b"wrapped", made_at_ms=1)
    await broker.data_keys.succeed_data_key("acme", "", "2026-11", key)
    keys = Secret("kek-2026:" + base64.b64encode(b"1" * 32).decode())
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0, encryption_keys=keys))
    async with (
        running_ingest(settings) as ingest,
        running_console(ConsoleSettings(url=str(ingest.http.base_url))) as another,
    ):
        page = await another.get("/system")
        table = page.the("[aria-labelledby=enc-h]").get_text(" ", strip=True)
        assert "not here kek-2025 1" in table
        assert "current kek-2026 0" in table
        assert "lost key-encryption key kek-2025, 1 data keys" in page.the("#report").get_text()


async def test_the_history_has_its_numbers(archive: Browser) -> None:
    """With a history its size, its lag and the events lost are shown."""
    page = await archive.get("/system")
    labels = [one.get_text() for one in page.all(".kpis .k")]
    assert labels == ["Redis memory", "Redis", "History", "History lag", "Events lost", "Processes"]


async def test_a_report_can_be_copied(console: Browser) -> None:
    """The report is text on the page: every check with its status, and the releases."""
    page = await console.get("/system")
    report = page.the("#report").get_text()
    assert report.startswith("Millstream, checked ")
    assert "ok  redis: " in report
    assert page.the("[data-copy-from='#report']")
    assert page.the("a[href='/system'].btn").get_text() == "Check again"


def test_the_worst_comes_first_and_parts_of_newer_releases_stay() -> None:
    """In a panel what must change comes first; a part that this console does not know has a panel too."""
    checks = [
        SystemCheck(name="redis", status="ok", detail="a"),
        SystemCheck(name="redis", status="bad", detail="b", fix="CONFIG SET x y"),
        SystemCheck(name="moon", status="warn", detail="c"),
    ]
    panels = panels_of(checks)
    assert [(title, [one.detail for one in found]) for title, found in panels] == [
        ("Redis", ["b", "a"]),
        ("moon", ["c"]),
    ]
    report = report_of(System(looked_at=datetime.now(UTC), checks=checks))
    assert " bad  redis: b\n      fix: CONFIG SET x y" in report
