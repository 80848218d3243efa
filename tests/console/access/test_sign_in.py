"""People sign in with a key, which becomes a session in a cookie; pages are shown to no other."""

from http.cookies import SimpleCookie

import httpx2
import pytest
from console.access.conftest import Give, sign_in
from console.browsing import Chromium
from console.serving import Browser, running_console
from ingest.serving import Ingest
from waiting import wait_until

from millstream_console.settings import ConsoleSettings
from millstream_console.web.session_cookie import PLAIN, SECURE
from millstream_contracts import MintedKey, Role, mint_key
from millstream_streams import Broker, KeyChange

OURS = {"sec-fetch-site": "same-origin"}
STREAM = {"accept": "text/html, text/event-stream"}


@pytest.fixture
async def admin(give: Give) -> MintedKey:
    """Store a key that may do everything."""
    return await give(Role.ADMIN)


def morsels(response: httpx2.Response) -> SimpleCookie:
    """Return the cookies that an answer sets."""
    jar = SimpleCookie()
    for text in response.headers.get_list("set-cookie"):
        jar.load(text)
    return jar


async def ended(broker: Broker) -> bool:
    """Return whether no session is stored."""
    return not (await broker.sessions.all())[1]


async def revoke(broker: Broker, guarded: Ingest, key: MintedKey) -> None:
    """Revoke a key, and wait until ingest knows."""
    assert await broker.api_keys.put_keys([KeyChange(key.id, None, None)])
    await guarded.services.key_cache.refresh()


@pytest.mark.parametrize("path", ["/", "/jobs?q=state:dead", "/queues/a", "/new-schedule", "/me", "/keys"])
async def test_page_leads_to_sign_in_and_back_to_itself(locked: Browser, admin: MintedKey, path: str) -> None:
    """Without a session a page is not shown; with one, the page that was asked for is."""
    asked = await locked.http.get(path)
    assert asked.status_code == 303
    form = await locked.get(asked.headers["location"])
    to = str(form.the("input[name=to]")["value"])
    assert to == ("" if path == "/" else path)
    page = await sign_in(locked, admin, to)
    assert page.status in {200, 404}
    assert str(page.response.url).removeprefix(str(locked.http.base_url).rstrip("/")).replace("%3A", ":") == path


async def test_key_is_exchanged_for_a_session_and_is_kept_nowhere(
    locked: Browser, admin: MintedKey, broker: Broker
) -> None:
    """The cookie has the token of a session of the key, which scripts cannot read, and no page has either."""
    answer = await locked.http.post("/sign-in", data={"key": admin.text}, headers=OURS)
    cookie = morsels(answer)[PLAIN]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert 0 < int(cookie["max-age"]) <= 12 * 3600
    [(session_id, stored)] = (await broker.sessions.all())[1].items()
    assert cookie.value.startswith(f"ms_{session_id}_")
    assert stored.session_of == admin.id
    page = await locked.get("/me")
    assert session_id in page.text
    assert cookie.value not in page.html
    assert admin.text not in page.html


async def test_cookie_of_another_host_is_for_https_alone(guarded: Ingest, admin: MintedKey) -> None:
    """On any name but a loopback one the cookie has the prefix that browsers hold to https and to the host."""
    settings = ConsoleSettings(url=str(guarded.http.base_url), console_hosts=("jobs.example.com",))
    https = {"host": "jobs.example.com", "origin": "https://jobs.example.com"}
    async with running_console(settings) as console:
        answer = await console.http.post("/sign-in", data={"key": admin.text}, headers=https)
        cookie = morsels(answer)[SECURE]
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        shown = await console.http.get("/me", headers={**https, "cookie": f"{SECURE}={cookie.value}"})
        assert shown.status_code == 200
        plain = await console.http.get("/me", headers={**https, "cookie": f"{PLAIN}={cookie.value}"})
        assert plain.status_code == 303


async def test_key_is_not_taken_over_plain_http_from_another_machine(
    guarded: Ingest, admin: MintedKey, broker: Broker
) -> None:
    """A key that came in clear over a network opens no session, and the page says what to do."""
    settings = ConsoleSettings(url=str(guarded.http.base_url), console_hosts=("jobs.example.com",))
    headers = {"host": "jobs.example.com", "origin": "http://jobs.example.com"}
    async with running_console(settings) as console:
        answer = await console.http.post("/sign-in", data={"key": admin.text}, headers=headers)
    assert answer.status_code == 403
    assert "plain http" in answer.text
    assert await ended(broker)


async def test_wrong_key_is_refused_in_words_and_not_shown_again(locked: Browser, broker: Broker) -> None:
    """What was typed is neither shown nor stored; the page says what is wrong with it."""
    outcomes: list[str] = []
    locked.desk.count_sign_in = outcomes.append
    for text, why in ((mint_key().text, "no such key"), ("two words", "begins with"), ("nonsense", "no key of")):
        page = await sign_in(locked, text)
        assert page.status == 401
        assert why in page.main
        assert text not in page.html
    assert await ended(broker)
    assert outcomes == ["refused"] * 3


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "evil"],
)
async def test_sign_in_leads_to_no_other_site(locked: Browser, admin: MintedKey, to: str) -> None:
    """Only an address of the console is led to; any other one leads to the overview."""
    answer = await locked.http.post("/sign-in", data={"key": admin.text, "to": to}, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}], ids=str)
async def test_another_site_signs_in_no_one_or_out(locked: Browser, admin: MintedKey, headers: dict[str, str]) -> None:
    """A form of another site neither signs a person in with another key nor out."""
    answer = await locked.http.post("/sign-in", data={"key": admin.text}, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    await sign_in(locked, admin)
    assert (await locked.http.post("/sign-out", headers=headers)).status_code == 403
    await locked.get("/me")


async def test_sign_in_ends_the_session_before_it(locked: Browser, admin: MintedKey, broker: Broker) -> None:
    """A session that another site may have planted in the browser does not go on beside the new one."""
    first = morsels(await locked.http.post("/sign-in", data={"key": admin.text}, headers=OURS))[PLAIN].value
    second = morsels(await locked.http.post("/sign-in", data={"key": admin.text}, headers=OURS))[PLAIN].value
    assert first != second
    [session_id] = (await broker.sessions.all())[1]
    assert second.startswith(f"ms_{session_id}_")


async def test_signing_out_ends_the_session_and_not_only_the_cookie(
    locked: Browser, admin: MintedKey, broker: Broker
) -> None:
    """The token that was in the cookie is worth nothing any more."""
    token = morsels(await locked.http.post("/sign-in", data={"key": admin.text}, headers=OURS))[PLAIN].value
    page = await locked.post("/sign-out")
    assert "You are signed out" in page.main
    assert await ended(broker)
    again = await locked.http.get("/me", headers={"cookie": f"{PLAIN}={token}"})
    assert again.status_code == 303
    assert (await locked.http.get("/sign-out")).status_code in {404, 405}


async def test_session_that_was_revoked_leads_to_sign_in_from_everywhere(
    locked: Browser, guarded: Ingest, give: Give, broker: Broker
) -> None:
    """Pages, forms, parts of pages, streams and scripts all lead the whole tab to the page that signs in."""
    key = await give(Role.OPERATOR)
    await sign_in(locked, key)
    token = locked.http.cookies[PLAIN]
    await revoke(broker, guarded, key)
    with_session = {"cookie": f"{PLAIN}={token}"}

    async def is_out() -> bool:
        return (await locked.http.get("/new-schedule", headers=with_session)).status_code == 303

    await wait_until(is_out, "a page that asks nothing of ingest notices")
    locked.http.cookies.clear()
    page = await locked.http.get("/queues", headers=with_session)
    assert page.headers["location"] == "/sign-in?to=%2Fqueues"
    assert morsels(page)[PLAIN]["max-age"] == "0"
    origin = str(locked.http.base_url).rstrip("/")
    form = await locked.http.post("/jobs/a/cancel", headers={**OURS, **with_session, "referer": f"{origin}/jobs/a?x=1"})
    assert form.headers["location"] == "/sign-in?to=%2Fjobs%2Fa%3Fx%3D1"
    part = await locked.http.get("/queues", headers={**with_session, "hx-request": "true"})
    assert (part.status_code, part.content) == (401, b"")
    assert part.headers["hx-redirect"].startswith("/sign-in")
    for path in ("/places.json", "/jobs/hints.json?q=a"):
        assert (await locked.http.get(path, headers=with_session)).status_code == 401
    stream = await locked.http.get("/queues", headers={**STREAM, **with_session})
    assert (stream.status_code, stream.text) == (200, "event: signed-out\ndata: .\n\n")


async def test_files_and_probes_need_no_session(locked: Browser) -> None:
    """The page that signs in has its style, and probes are answered."""
    page = await locked.get("/sign-in")
    assert (await locked.http.get(str(page.the("link[rel=stylesheet]")["href"]))).status_code == 200
    assert (await locked.http.get("/readyz")).status_code == 200


async def test_sessions_of_two_people_have_their_own_rights(locked: Browser, give: Give) -> None:
    """What one may see is not shown to another who asks in the same moment, and neither acts with another's rights."""
    admin, viewer = await give(Role.ADMIN), await give(Role.VIEWER)
    tokens = []
    for key in (admin, viewer):
        locked.http.cookies.clear()
        await sign_in(locked, key)
        tokens.append(locked.http.cookies[PLAIN])
    locked.http.cookies.clear()
    for _ in range(2):
        seen = [
            (await locked.http.get("/keys", headers={"cookie": f"{PLAIN}={token}"})).status_code for token in tokens
        ]
        assert seen == [200, 403]


async def test_without_credentials_everyone_is_in_and_told_so(console: Browser) -> None:
    """Where ingest asks for no credentials, pages are shown with a warning, and there is nothing to sign in to."""
    page = await console.get("/queues")
    assert "No sign-in" in page.text
    assert not page.all("form[action='/sign-out']")
    assert (await console.http.get("/sign-in")).headers["location"] == "/"
    assert "asks for no credentials" in (await console.get("/me")).main


async def test_console_has_no_key_that_people_act_with(locked: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the console have no key, so a request without a session is one without rights."""
    assert "api_key" not in ConsoleSettings.__struct_fields__
    with pytest.raises(Exception, match="Authorization"):
        await locked.desk.client.queues()


async def test_sign_in_by_hand(locked: Browser, admin: MintedKey, broker: Broker, chromium: Chromium) -> None:
    """In a real browser: a page leads to sign-in and back, an open page leaves when its session ends, within policy."""
    url = str(locked.http.base_url).rstrip("/")
    async with chromium.tab(url) as tab:
        page = await tab.open("/queues")
        assert await tab.violations() == []
        await page.fill("input[name=key]", admin.text)
        await page.click("button:has-text('Sign in')")
        await page.wait_for_url("**/queues")
        await tab.live()
        assert await tab.violations() == []
        [session_id] = (await broker.sessions.all())[1]
        assert await broker.sessions.put_keys([KeyChange(session_id, None, None)])
        await page.wait_for_url("**/sign-in?to=%2Fqueues")
        assert tab.complaints == []
        await page.fill("input[name=key]", admin.text)
        await page.press("input[name=key]", "Enter")
        await page.wait_for_url("**/queues")
        await page.click("button:has-text('Sign out')")
        await page.wait_for_url("**/sign-in")
        assert await ended(broker)
