"""People sign in at an OpenID provider, which the tests run; whatever is wrong with its answer signs no one in."""

import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from console.access.conftest import Give, sign_in
from console.access.openid_providing import CLIENT, CLIENT_SECRET, Provider, providing
from console.browsing import Chromium
from console.serving import Browser, Page, running_console
from ingest.access.issuing import key_of, token
from ingest.serving import Ingest, patient, running_ingest
from ports import reserve_ports
from sdk.handlers.receivers import LOOPBACK, answering

from millstream_console.settings import ConsoleSettings
from millstream_console.web.openid import attempt
from millstream_console.web.openid import provider as asking
from millstream_console.web.session_cookie import PLAIN
from millstream_contracts import Role
from millstream_ingest.access.attempts import FailedAttempts
from millstream_ingest.access.tokens import published_keys
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker

OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
async def running_provider() -> AsyncIterator[Provider]:
    """Run a provider for the module."""
    async with providing() as running:
        yield running


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """Return the provider as it is by default."""
    for name, value in vars(Provider(port=running_provider.port)).items():
        setattr(running_provider, name, value)
    return running_provider


@pytest.fixture(scope="module")
async def trusting(redis_url: str, namespace: str, running_provider: Provider) -> AsyncIterator[Ingest]:
    """Yield a running ingest that takes ID tokens of the provider."""
    issuer = {
        "issuer": running_provider.issuer,
        "client_ids": [CLIENT],
        "jwks_url": f"http://127.0.0.1:{running_provider.port}/jwks",
        "networks": [LOOPBACK],
        "roles_claim": "groups",
        "roles": {"platform": "admin", "support": "viewer"},
    }
    at = {"redis_url": redis_url, "namespace": namespace, "port": 0}
    settings = IngestSettings(**at, auth="required", jwt_issuers=json.dumps([issuer]))
    async with running_ingest(patient(settings)) as running:
        yield running


@pytest.fixture
def settings(trusting: Ingest, provider: Provider) -> Callable[..., ConsoleSettings]:
    """Return a function that makes settings of a console whose people sign in at the provider."""

    def make(port: int, **fields: Any) -> ConsoleSettings:
        given = {
            "url": str(trusting.http.base_url),
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": Secret(CLIENT_SECRET),
            "oidc_origin": f"http://127.0.0.1:{port}",
            "oidc_name": "Example <Login>",
            "oidc_networks": (LOOPBACK,),
            **fields,
        }
        return ConsoleSettings(**given)

    return make


@pytest.fixture
async def console(
    settings: Callable[..., ConsoleSettings], trusting: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Browser]:
    """Yield a console whose people sign in at the provider; its browser is not signed in."""
    monkeypatch.setattr(published_keys, "LOOK_FOR_UNKNOWN_EVERY_S", 0.0)
    monkeypatch.setattr(asking, "READ_EVERY_S", 0.0)
    monkeypatch.setattr(asking, "READ_AGAIN_EVERY_S", 0.0)
    seconds = itertools.count()
    monkeypatch.setattr(trusting.services.gate, "_attempts", FailedAttempts(clock=lambda: next(seconds)))
    [port] = reserve_ports(1)
    async with running_console(settings(port), port=port) as running:
        yield running


async def asked(console: Browser, to: str = "") -> httpx2.Response:
    """Begin a sign-in, and return the answer of the console, which leads to the provider."""
    query = {"to": to} if to else None
    answer = await console.http.get("/sign-in/openid", params=query, headers=OURS)
    assert answer.status_code == 303, answer.text
    return answer


async def answered(console: Browser, to: str = "") -> str:
    """Begin a sign-in, sign in at the provider, and return the address to which that leads back."""
    led = await console.http.get((await asked(console, to)).headers["location"])
    assert led.status_code == 303, led.text
    return str(led.headers["location"])


async def signed_in(console: Browser, to: str = "") -> httpx2.Response:
    """Sign in at the provider, and return the last answer of the console."""
    return await console.http.get(await answered(console, to))


async def sessions(broker: Broker) -> int:
    """Return how many sessions are stored."""
    return len((await broker.sessions.all())[1])


def cookies_of(response: httpx2.Response) -> SimpleCookie:
    """Return the cookies that an answer sets."""
    jar = SimpleCookie()
    for text in response.headers.get_list("set-cookie"):
        jar.load(text)
    return jar


def with_query(url: str, **fields: str | None) -> str:
    """Return an address with other fields in its query; None leaves one out."""
    parsed = urlsplit(url)
    given = {**dict(parse_qsl(parsed.query)), **fields}
    query = str(httpx2.QueryParams({name: one for name, one in given.items() if one is not None}))
    return parsed._replace(query=query).geturl()


async def test_person_signs_in_at_the_provider_and_is_known_by_name(console: Browser, broker: Broker) -> None:
    """The page that was asked for is shown, and pages say who is signed in, by name, address, subject and issuer."""
    page = await console.get("/sign-in")
    assert page.the("a.btn.go").get_text() == "Sign in with Example <Login>"
    answer = await signed_in(console, "/queues?sort=name")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queues?sort=name")
    assert cookies_of(answer)[PLAIN]["httponly"]
    me = await console.get("/me")
    assert "asks for no credentials" not in me.main
    for shown in ("Ann Example", "ann@x.test", "ann-1", "/realm", "admin"):
        assert shown in me.main
    assert "Ann Example" in me.the("footer .wd b").get_text()
    listed = await console.get("/sessions")
    assert "Ann Example ann@x.test this browser" in listed.rows()[0]
    [stored] = (await broker.sessions.all())[1].values()
    assert stored.session_of.endswith("/realm ann-1")


async def test_what_is_asked_of_the_provider_binds_its_answer_to_this_browser(
    console: Browser, provider: Provider
) -> None:
    """The request has PKCE, `state` and `nonce`, new ones each time; the cookie has their secrets for ten minutes."""
    seen: list[dict[str, str]] = []
    for _ in range(2):
        answer = await asked(console)
        url = urlsplit(answer.headers["location"])
        seen.append(dict(parse_qsl(url.query)))
        cookie = cookies_of(answer)[attempt.PLAIN]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "lax", "600")
    first, second = seen
    assert url.geturl().startswith(f"http://127.0.0.1:{provider.port}/authorize?")
    fixed = {"tenant": "1", "response_type": "code", "client_id": CLIENT, "scope": "openid profile email"}
    fixed |= {"code_challenge_method": "S256", "redirect_uri": f"{console.desk.settings.oidc_origin}{asking.CALLBACK}"}
    assert fixed.items() <= first.items()
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) == 43


async def test_cookies_of_another_host_are_for_https_alone(
    settings: Callable[..., ConsoleSettings], provider: Provider, broker: Broker
) -> None:
    """Under an origin of https both cookies have the prefix that browsers hold to https and to the host."""
    host, https = {"host": "jobs.example.com"}, "https://jobs.example.com"
    fields = {"oidc_origin": https, "console_hosts": ("jobs.example.com",), "console_path": "/mill"}
    async with running_console(settings(0, **fields)) as console:
        begun = await console.http.get("/sign-in/openid", headers={**host, **OURS})
        cookie = cookies_of(begun)[attempt.SECURE]
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
        led = await console.http.get(begun.headers["location"])
        back = urlsplit(led.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == f"{https}/mill{asking.CALLBACK}"
        crossed = {**host, "cookie": f"{attempt.SECURE}={cookie.value}", "sec-fetch-site": "cross-site"}
        answer = await console.http.get(f"{asking.CALLBACK}?{back.query}", headers=crossed)
        assert (answer.status_code, answer.headers["location"]) == (303, "/mill/")
        session = cookies_of(answer)["__Host-millstream-session"]
        assert (session["secure"], session["httponly"], session["path"], session["domain"]) == (True, True, "/", "")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "public"])
async def test_console_shows_the_provider_that_it_is_the_client(
    settings: Callable[..., ConsoleSettings], provider: Provider, broker: Broker, method: str
) -> None:
    """The secret goes the way that the provider takes, and a public client has none."""
    is_public = method == "public"
    provider.metadata = {"token_endpoint_auth_methods_supported": ["none" if is_public else method]}
    provider.client_secret = None if is_public else CLIENT_SECRET
    [port] = reserve_ports(1)
    fields = {"oidc_client_secret": None} if is_public else {}
    async with running_console(settings(port, **fields), port=port) as console:
        assert (await signed_in(console)).headers["location"] == "/"
    [request] = provider.asked_for("/token")
    assert ("authorization" in request.headers, "client_secret" in request.form) == (
        method == "client_secret_basic",
        method == "client_secret_post",
    )


async def test_answer_is_taken_once(console: Browser, broker: Broker, provider: Provider) -> None:
    """An answer that is sent again signs no one in: neither from this browser nor from another with its cookie."""
    back = await answered(console)
    kept = console.http.cookies[attempt.PLAIN]
    assert (await console.http.get(back)).status_code == 303
    assert attempt.PLAIN not in console.http.cookies
    again = Page(await console.http.get(back))
    assert (again.status, "begun no such sign-in" in again.main) == (400, True)
    copied = Page(await console.http.get(back, headers={"cookie": f"{attempt.PLAIN}={kept}"}))
    assert (copied.status, "the code was used already" in copied.main) == (403, True)
    assert await sessions(broker) == 1


async def test_answer_for_another_browser_signs_no_one_in(console: Browser, broker: Broker, provider: Provider) -> None:
    """An attacker who leads a person to the answer of its own sign-in does not sign that person in as itself."""
    back = await answered(console)
    console.http.cookies.clear()
    for _ in range(2):
        refused = Page(await console.http.get(back))
        assert (refused.status, "begun no such sign-in" in refused.main) == (400, True)
        # Neither where the person has begun one, which can still be finished.
        own = await answered(console)
    assert (await console.http.get(own)).status_code == 303
    assert await sessions(broker) == 1
    assert len(provider.asked_for("/token")) == 1


@pytest.mark.parametrize(
    "break_it",
    [
        lambda url: with_query(url, state=None),
        lambda url: with_query(url, state=""),
        lambda url: with_query(url, state="\ud7ff" * 43),
        lambda url: with_query(url, state="a" * 43),
        lambda url: with_query(url, iss="https://evil.example"),
        lambda url: with_query(url, iss=None),
        lambda url: with_query(url, iss=""),
    ],
    ids=["no state", "empty state", "strange state", "other state", "other issuer", "no issuer", "empty issuer"],
)
async def test_answer_that_was_changed_is_refused_before_its_code_is_used(
    console: Browser, broker: Broker, provider: Provider, break_it: Callable[[str], str]
) -> None:
    """An answer without our `state`, or of another issuer (a mix-up), leads to no exchange of its code."""
    outcomes: list[str] = []
    console.desk.count_sign_in = outcomes.append
    page = Page(await console.http.get(break_it(await answered(console))))
    assert (page.status, page.the("[role=alert]").get_text()[:14]) == (400, "Not signed in ")
    assert (provider.asked_for("/token"), await sessions(broker), outcomes) == ([], 0, ["stray"])


async def test_provider_that_does_not_name_itself_in_answers_need_not(
    console: Browser, broker: Broker, provider: Provider
) -> None:
    """Where `iss` is not announced it may be absent; where it is there, it has to be right all the same."""
    provider.metadata = {"authorization_response_iss_parameter_supported": None}
    provider.answers = {"iss": None}
    assert (await signed_in(console)).status_code == 303
    provider.answers = {"iss": "https://evil.example"}
    assert (await signed_in(console)).status_code == 400


async def test_attempt_ends_after_ten_minutes(
    console: Browser, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that keeps the cookie for longer is refused by the time in it."""
    back = await answered(console)
    now = time.time()
    monkeypatch.setattr(attempt.time, "time", lambda: now + attempt.LASTS_S + 1)
    assert (await console.http.get(back)).status_code == 400
    assert await sessions(broker) == 0


@pytest.mark.parametrize(
    "value", ["", "garbage", "e30=", "AAAA", "x" * 4_000], ids=["", "text", "empty", "bytes", "long"]
)
async def test_cookie_that_is_none_of_ours_is_refused(console: Browser, value: str) -> None:
    """A cookie that holds anything else is as good as none."""
    back = await answered(console)
    console.http.cookies.clear()
    refused = await console.http.get(back, headers={"cookie": f"{attempt.PLAIN}={value}"})
    assert refused.status_code == 400


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "nonce of another sign-in": ({"nonce": "n" * 43}, "for another sign-in"),
    "no nonce": ({"nonce": None}, "`nonce`"),
    "another audience": ({"aud": "another"}, "another audience"),
    "audiences besides": ({"aud": [CLIENT, "another"]}, "another audience"),
    "given to another": ({"azp": "another"}, "`azp`"),
    "another issuer": ({"iss": "https://evil.example"}, "not trusted"),
    "expired": ({"iat": 1_000, "exp": 2_000}, "has expired"),
    "of later": ({"iat": time.time() + 10_000}, "not valid yet"),
    "old": ({"iat": time.time() - 10_000}, "too old"),
    "no subject": ({"sub": None}, "`sub`"),
    "no group": ({"groups": None}, "`groups`"),
    "unknown group": ({"groups": ["admin"]}, "has none of"),
}


async def test_id_token_that_is_wrong_signs_no_one_in_and_the_page_says_why(
    console: Browser, broker: Broker, provider: Provider
) -> None:
    """Each is refused by ingest in words, and the key stays as the other way in."""
    for name, (claims, why) in FORGED.items():
        provider.claims = claims
        page = Page(await signed_in(console))
        assert page.status == (403 if "group" in name else 401), name
        assert why.strip("`") in page.the("[role=alert]").get_text(), name
        assert page.all("input[name=key]"), name
    provider.claims = {}
    signatures: dict[str, Callable[[str], str]] = {
        "none": lambda text: f"eyJhbGciOiJub25lIn0.{text.split('.')[1]}.AAAA",
        "another's": lambda text: f"{text.rpartition('.')[0]}.{token().rpartition('.')[2]}",
        "no token": lambda _: "nonsense",
        "two words": lambda _: "a b",
    }
    for name, forge in signatures.items():
        provider.forged = forge
        page = Page(await signed_in(console))
        assert page.status in {401, 503}, name
    assert await sessions(broker) == 0


async def test_keys_of_the_provider_may_rotate_between_begin_and_answer(
    console: Browser, broker: Broker, provider: Provider
) -> None:
    """An ID token of a key that ingest has not seen yet is taken where the provider publishes the key by then."""
    assert (await signed_in(console)).status_code == 303
    back = await answered(console)
    provider.key = key_of("ES256", "rotated")
    assert (await console.http.get(back)).status_code == 303
    provider.published, provider.key = [provider.key], key_of("ES256", "of its own")
    assert (await signed_in(console)).status_code == 401


REFUSALS: dict[str, tuple[dict[str, str], str]] = {
    "cancelled": ({"error": "access_denied"}, "it was cancelled there"),
    "unknown": ({"error": "out_of_coffee"}, "out_of_coffee"),
    "markup": ({"error": "<b>x</b>", "error_description": "<script>alert(1)</script>"}, "it gives no reason"),
    "control": ({"error": "server_error", "error_description": "a\u202eb\r\nX: y"}, "U+202E"),
    "long": ({"error": "server_error", "error_description": "z" * 5_000}, "z" * 100),
    "nothing": ({"code": ""}, "neither a code nor an error"),
}


async def test_refusal_of_the_provider_is_told_and_its_text_is_only_text(
    console: Browser, broker: Broker, provider: Provider
) -> None:
    """What the provider says is shown as text within bounds, counts as denied, and ends the attempt."""
    outcomes: list[str] = []
    console.desk.count_sign_in = outcomes.append
    for name, (fields, why) in REFUSALS.items():
        provider.answers = {"code": None, **fields}
        page = Page(await signed_in(console))
        assert (page.status, why in page.the("[role=alert]").get_text()) == (403, True), name
        assert not page.all("main b, main script"), name
        assert len(page.main) < 1_000, name
        assert attempt.PLAIN not in console.http.cookies, name
    assert set(outcomes) == {"denied"}
    assert provider.asked_for("/token") == []


BROKEN: dict[str, bytes] = {
    "html": answering(200, body="<html>"),
    "nothing": answering(200, body="{}"),
    "no text": answering(200, body='{"id_token": 7}'),
    "wrong client": answering(401, body='{"error": "invalid_client"}'),
    "markup": answering(400, body='{"error": "<script>"}'),
    "redirect": answering(302, "location: http://127.0.0.1:1/"),
    "bytes": answering(500, body="x" * 100_000),
}


async def test_provider_that_gives_no_id_token_is_told_as_away(
    console: Browser, broker: Broker, provider: Provider
) -> None:
    """Whatever it answers in place of an ID token ends in a page that says so, without its text."""
    for name, answer in BROKEN.items():
        provider.replies = {"/token": answer}
        page = Page(await signed_in(console))
        assert (page.status, "gives the console no ID token" in page.main) == (503, True), name
        assert "script" not in page.the("[role=alert]").get_text(), name
        assert "refresh" not in page.response.headers, name
    provider.replies, provider.away = {}, {"/token"}
    page = Page(await signed_in(console))
    assert (page.status, "does not answer" in page.main) == (503, True)
    assert await sessions(broker) == 0


METADATA: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://evil.example"},
    "its issuer with a slash": {"issuer": "http://127.0.0.1:1/realm/"},
    "plain http": {"token_endpoint": "http://example.com/token"},
    "script": {"authorization_endpoint": "javascript:alert(1)"},
    "credentials": {"authorization_endpoint": "https://a:b@example.com/"},
    "fragment": {"authorization_endpoint": "https://example.com/#a"},
    "a line": {"end_session_endpoint": "https://example.com/\r\nX: y"},
    "no place": {"authorization_endpoint": None},
}


async def test_provider_that_is_away_leaves_the_key_as_a_way_in(
    settings: Callable[..., ConsoleSettings], provider: Provider, give: Give, broker: Broker
) -> None:
    """Where its metadata cannot be read, or leads astray, the page says so, and a key signs in."""
    admin = await give(Role.ADMIN)
    for name, fields in {"away": {}, **METADATA}.items():
        provider.metadata = fields
        provider.away = set() if fields else {"/realm/.well-known/openid-configuration"}
        async with running_console(settings(0)) as console:
            page = Page(await console.http.get("/sign-in/openid", headers=OURS))
            assert (page.status, "does not answer" in page.main) == (503, True), name
            assert (await sign_in(console, admin)).status == 200, name


async def test_provider_outside_the_allowed_networks_is_not_asked(
    settings: Callable[..., ConsoleSettings], provider: Provider
) -> None:
    """A provider with a private address is asked only where the operator has said so."""
    async with running_console(settings(0, oidc_networks=())) as console:
        assert (await console.http.get("/sign-in/openid", headers=OURS)).status_code == 503
    assert provider.requests == []


async def test_metadata_that_was_read_goes_on_while_the_provider_is_silent(
    console: Browser, provider: Provider
) -> None:
    """People are still led to the provider when it cannot be asked for its metadata in this moment."""
    await asked(console)
    provider.away = {"/realm/.well-known/openid-configuration"}
    await asked(console)


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/sign-out", "/" * 2_000],
)
async def test_sign_in_leads_to_no_other_site(console: Browser, broker: Broker, to: str) -> None:
    """Only an address of the console is led to behind the provider; any other one leads to the overview."""
    answer = await signed_in(console, to)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_another_site_begins_no_sign_in(console: Browser, provider: Provider) -> None:
    """Another site cannot have a person signed in unasked: the person is shown the page that signs in."""
    led = await console.http.get("/sign-in/openid?to=/jobs", headers={"sec-fetch-site": "cross-site"})
    assert (led.status_code, led.headers["location"]) == (303, "/sign-in?to=%2Fjobs")
    assert "set-cookie" not in led.headers
    assert provider.requests == []


async def test_sign_in_ends_the_session_before_it(console: Browser, broker: Broker) -> None:
    """A second sign-in in a browser leaves one session."""
    await signed_in(console)
    await signed_in(console)
    assert await sessions(broker) == 1


async def test_session_lasts_as_long_as_the_operator_says(
    settings: Callable[..., ConsoleSettings], provider: Provider, broker: Broker
) -> None:
    """The session lasts twelve hours or less, whatever time the ID token has."""
    [port] = reserve_ports(1)
    async with running_console(settings(port, oidc_session_s=3_600.0), port=port) as console:
        await signed_in(console)
    [stored] = (await broker.sessions.all())[1].values()
    assert stored.expires_at_ms
    assert stored.expires_at_ms - stored.created_at_ms == 3_600_000


async def test_signing_out_leads_to_the_provider_and_back(
    console: Browser, provider: Provider, broker: Broker, give: Give
) -> None:
    """The session ends here at once, and the browser goes on to the provider, which leads back; a key's does not."""
    await signed_in(console)
    page = await console.post("/sign-out")
    assert await sessions(broker) == 0
    assert PLAIN not in console.http.cookies
    leading = page.response.headers["refresh"]
    assert leading == f"0; url={page.the('main a.btn:not(.bare)')['href']}"
    ended = await console.http.get(leading.removeprefix("0; url="))
    assert ended.headers["location"] == f"{console.desk.settings.oidc_origin}/sign-in"
    await sign_in(console, await give(Role.ADMIN))
    assert "refresh" not in (await console.post("/sign-out")).response.headers
    provider.metadata = {"end_session_endpoint": None}
    await signed_in(console)
    assert "refresh" not in (await console.post("/sign-out")).response.headers


async def test_role_at_the_provider_is_that_of_the_session(
    console: Browser, provider: Provider, broker: Broker
) -> None:
    """A person of another group sees what the role of that group sees, and is offered no more."""
    provider.person["groups"] = ["support"]
    await signed_in(console)
    await console.get("/queues")
    await console.get("/keys", 403)
    assert not (await console.get("/queues")).all("a[href='/keys']")


async def test_secrets_of_the_sign_in_are_in_no_page(
    console: Browser, provider: Provider, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither pages nor logs have the client secret, the code, the ID token or the secrets of the attempt."""
    begun = (await asked(console)).headers["location"]
    kept = json.loads(attempt.base64.urlsafe_b64decode(console.http.cookies[attempt.PLAIN]))
    secrets = [CLIENT_SECRET, kept["code_verifier"], kept["nonce_secret"]]
    assert not [one for one in secrets if one in begun]
    provider.claims = {"groups": []}
    back = (await console.http.get(begun)).headers["location"]
    page = Page(await console.http.get(back))
    secrets += [dict(parse_qsl(urlsplit(back).query))["code"]]
    told = page.html + str(page.response.headers) + "".join(capfd.readouterr())
    assert not [one for one in secrets if one in told]
    assert CLIENT_SECRET not in repr(console.desk.settings)


async def test_console_without_a_provider_has_no_other_way_in(locked: Browser) -> None:
    """Where no provider is set, the page does not offer one, and its addresses lead nowhere."""
    assert not (await locked.get("/sign-in")).all("a.btn.go")
    await locked.get("/sign-in/openid", 404)
    await locked.get(f"{asking.CALLBACK}?code=a&state=b", 404)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"oidc_client_id": "a"}, "MILLSTREAM_OIDC_ISSUER is not"),
        ({"oidc_origin": "https://a"}, "MILLSTREAM_OIDC_ISSUER is not"),
        ({"oidc_issuer": "https://a"}, "MILLSTREAM_OIDC_CLIENT_ID is not"),
        ({"oidc_issuer": "https://a", "oidc_client_id": "a"}, "MILLSTREAM_OIDC_ORIGIN is not"),
        ({"oidc_issuer": "http://a.example"}, "MILLSTREAM_OIDC_ISSUER begins with https"),
        ({"oidc_origin": "http://a.example"}, "MILLSTREAM_OIDC_ORIGIN begins with https"),
        ({"oidc_scopes": ("email",)}, "MILLSTREAM_OIDC_SCOPES"),
        ({"oidc_networks": ("10.0.0.1/8",)}, "MILLSTREAM_OIDC_NETWORKS"),
    ],
)
def test_setting_that_cannot_be_meant_stops_the_start(fields: dict[str, Any], why: str) -> None:
    """Settings that contradict each other, or would send secrets in clear, stop the start and are named."""
    whole = {"oidc_issuer": "https://a", "oidc_client_id": "a", "oidc_origin": "https://b"}
    given = fields if "is not" in why else {**whole, **fields}
    with pytest.raises(ValueError, match=why):
        ConsoleSettings(**given)


async def test_sign_in_by_hand(console: Browser, provider: Provider, broker: Broker, chromium: Chromium) -> None:
    """In a real browser: from a page to the provider and back to that page, and out again at both, within policy."""
    provider.asks = True
    url = str(console.http.base_url).rstrip("/")
    async with chromium.tab(url) as tab:
        page = await tab.open("/queues")
        assert await tab.violations() == []
        await page.click("text=Sign in with Example")
        await page.click("text=Continue as Ann")
        await page.wait_for_url("**/queues")
        await tab.live()
        assert await page.text_content("footer .wd b") == "Ann Example"
        assert await sessions(broker) == 1
        await page.click("button:has-text('Sign out')")
        await page.wait_for_url("**/sign-in")
        assert "You are signed out" in (await page.text_content("main") or "")
        assert await sessions(broker) == 0
        assert len(provider.asked_for("/end")) == 1
        assert tab.complaints == []
        provider.away = {"/token"}
        await page.click("text=Sign in with Example")
        await page.click("text=Continue as Ann")
        await page.wait_for_selector("[role=alert]")
        assert await tab.violations() == []
