"""The client for browsers in a real browser: page changes, no network, two tabs, blocked requests."""

import contextlib
import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.support.chromium import Browser, Tab, chromium, needs_chromium, wait_until
from tests.support.collecting import KEYS, collector, read_stream

pytestmark = needs_chromium

PAGE = """<!doctype html><title>shop</title>
<div id=shelf data-placement=shelf-1 data-recommendation=r1 style="height: 300px">
<p data-item=i1 data-position=0>one<p data-item=i2 data-position=1>two</div>
<div style="height: 5000px"></div><p data-item=i3 id=below>three"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The address of the shop's page, which has another origin than the collector."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def service(valkey: str, shop: str) -> Iterator[httpx.Client]:
    with collector(valkey, browser_keys={"pk_shop": [shop]}) as client:
        yield client


@contextlib.contextmanager
def page(browser: Browser, shop: str, service: httpx.Client, options: str = "") -> Iterator[Tab]:
    """A tab with the shop's page and a client in it."""
    tab = browser.open_tab(f"{shop}/a")
    start_client(tab, service, options)
    yield tab
    with contextlib.suppress(AssertionError):  # a test may have closed it
        tab.evaluate("localStorage.clear()")
        tab.close()


def start_client(tab: Tab, service: httpx.Client, options: str = "") -> None:
    endpoint = str(service.base_url).rstrip("/")
    tab.evaluate(
        f"""import("{endpoint}/v1/client.js").then((module) => {{
          window.client = new module.DawnlistClient(
            {{endpoint: "{endpoint}", key: "pk_shop", flushMs: 50 {options}}});
        }})"""
    )


def events(valkey: str) -> list[dict[str, Any]]:
    return read_stream(valkey, KEYS.accepted)


def wait_for_events(valkey: str, number: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(events(valkey)) >= number)
    return events(valkey)


def test_events_are_sent_with_ids_and_the_page(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.evaluate("client.track('click', {item: 'i1', placement: 'shelf-1'})")
        tab.evaluate("client.identify('u1'); client.track('cart', {item: 'i1'})")
        click, alias, cart = wait_for_events(valkey, 3)
        assert (click["type"], click["item"], click["page"]) == ("click", "i1", "/a")
        assert (click["placement"], click["sender"]) == ("shelf-1", "pk_shop")
        assert (alias["type"], alias["user"]) == ("alias", "u1")
        assert alias["anonymous"] == click["anonymous"] == cart["anonymous"] and "user" not in click
        assert click["properties"] == {"automated": True}  # a driven browser says so
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        assert (
            tab.evaluate("Object.keys(localStorage).filter(k => k.includes('queue')).length") == 0
        )


def test_an_event_of_the_last_moment_survives_the_page_change(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service, ", flushMs: 1e9") as tab:
        tab.evaluate("client.track('click', {item: 'i1'})")
        tab.go(f"{shop}/b")
        [click] = wait_for_events(valkey, 1)
        assert click["page"] == "/a"
        # The next page sends it again, since a beacon has no answer; it counts once.
        start_client(tab, service)
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        assert len(events(valkey)) == 1


def test_a_blocked_beacon_is_made_up_for_by_the_next_page(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service, ", flushMs: 1e9") as tab:
        # The protocol blocks no beacons, so the page's own function is replaced, as by an extension.
        tab.evaluate("navigator.sendBeacon = () => false; client.track('click', {item: 'i1'})")
        tab.go(f"{shop}/b")
        assert not events(valkey)
        start_client(tab, service)
        assert [event["item"] for event in wait_for_events(valkey, 1)] == ["i1"]


def test_events_wait_while_there_is_no_network(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.set_offline(True)
        for number in range(3):
            tab.evaluate(f"client.track('click', {{item: 'i{number}'}})")
        wait_until(lambda: tab.evaluate("client.failures") > 0)
        assert tab.evaluate("client.events.length") == 3 and not events(valkey)
        tab.set_offline(False)
        tab.evaluate("dispatchEvent(new Event('online'))")
        assert [event["item"] for event in wait_for_events(valkey, 3)] == ["i0", "i1", "i2"]


def test_two_tabs_don_t_send_each_others_events_and_a_dead_ones_are_adopted(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service, ", flushMs: 1e9") as first:
        first.evaluate("navigator.sendBeacon = () => false; client.track('click', {item: 'first'})")
        with page(browser, shop, service) as second:
            second.evaluate("client.track('click', {item: 'second'})")
            assert [event["item"] for event in wait_for_events(valkey, 1)] == ["second"]
            wait_until(lambda: second.evaluate("client.events.length") == 0)
        first.evaluate("client.track('click', {item: 'third'})")
        first.close()
        with page(browser, shop, service):
            items = {event["item"] for event in wait_for_events(valkey, 3)}
            assert items == {"first", "second", "third"}


def test_impressions_are_what_was_half_visible_for_a_second(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.evaluate("client.watchImpressions(document.body); 0")
        seen = {event["item"]: event for event in wait_for_events(valkey, 2)}
        assert seen.keys() == {"i1", "i2"}
        first = seen["i1"]
        assert (first["type"], first["position"], first["placement"], first["recommendation"]) == (
            "impression", 0, "shelf-1", "r1",
        )  # fmt: skip
        tab.evaluate("document.querySelector('#below').scrollIntoView()")
        assert wait_for_events(valkey, 3)[2]["item"] == "i3"


def test_without_consent_no_id_of_the_browser_is_kept(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service, ", consent: false") as tab:
        tab.evaluate("client.track('click', {item: 'i1'})")
        [click] = wait_for_events(valkey, 1)
        assert click["anonymous"].startswith("unknown-")
        assert tab.evaluate("localStorage.getItem('dawnlist-anonymous')") is None


@pytest.mark.parametrize(
    "wish",
    [
        "Object.defineProperty(navigator, 'doNotTrack', {value: '1'})",
        "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})",
    ],
    ids=["do not track", "global privacy control"],
)
def test_who_asks_not_to_be_tracked_has_no_id(
    browser: Browser, shop: str, service: httpx.Client, valkey: str, wish: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.go(f"{shop}/b")
        tab.evaluate(f"localStorage.clear(); {wish}; 0")
        start_client(tab, service)
        tab.evaluate("client.track('click', {item: 'i1'})")
        [click] = wait_for_events(valkey, 1)
        assert click["consent"] is False and click["anonymous"].startswith("unknown-")
        assert tab.evaluate("localStorage.getItem('dawnlist-anonymous')") is None


def test_who_does_not_ask_has_an_id(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.go(f"{shop}/b")
        tab.evaluate("Object.defineProperty(navigator, 'doNotTrack', {value: '0'}); 0")
        start_client(tab, service)
        tab.evaluate("client.track('click', {item: 'i1'})")
        [click] = wait_for_events(valkey, 1)
        assert "consent" not in click
        assert click["anonymous"] == tab.evaluate("localStorage.getItem('dawnlist-anonymous')")


def test_a_collector_that_has_too_much_is_asked_again_and_nothing_is_lost(
    browser: Browser, shop: str, valkey: str
) -> None:
    with (
        collector(valkey, browser_keys={"pk_shop": [shop]}, events_per_second=1) as service,
        page(browser, shop, service) as tab,
    ):
        for number in range(6):  # a bucket holds two
            tab.evaluate(f"client.track('click', {{item: 'i{number}'}}); client.flush(); 0")
        wait_until(lambda: tab.evaluate("client.failures") > 0)
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        assert sorted(event["item"] for event in events(valkey)) == [f"i{n}" for n in range(6)]


def test_a_collector_without_a_store_is_asked_again(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab, redis.from_url(valkey) as store:
        store.config_set("maxmemory", "1mb")  # full: each event is answered `retry`, with 503
        tab.evaluate("client.track('click', {item: 'i1'}); 0")
        try:
            wait_until(lambda: tab.evaluate("client.failures") > 0)
            assert tab.evaluate("client.events.length") == 1 and not events(valkey)
        finally:
            store.config_set("maxmemory", "0")
        assert [event["item"] for event in wait_for_events(valkey, 1)] == ["i1"]


@pytest.mark.parametrize(
    ("chance", "retry_after", "failures", "milliseconds"),
    [
        (0.0, None, 0, 1_000),
        (0.5, None, 0, 2_000),
        (0.999, None, 0, 2_998),
        (0.5, None, 4, 32_000),
        (0.5, None, 5, 60_000),  # the bound
        (0.5, None, 50, 60_000),
        (0.0, 120, 0, 121_000),  # never earlier than the collector asks for
        (0.999, 120, 0, 122_998),
        (0.5, "soon", 0, 2_000),
    ],
)
def test_the_time_to_the_next_try(
    browser: Browser,
    shop: str,
    service: httpx.Client,
    chance: float,
    retry_after: int | str | None,
    failures: int,
    milliseconds: int,
) -> None:
    header = "" if retry_after is None else f"{{'retry-after': '{retry_after}'}}"
    with page(browser, shop, service, ", flushMs: 1e9") as tab:
        # The page's own functions are replaced: the time that the client would wait is the result.
        tab.evaluate(
            f"""window.waits = []; Math.random = () => {chance};
            window.fetch = async () => new Response("", {{status: 429, headers: {header or "{}"}}});
            client.track("click"); client.failures = {failures};
            window.setTimeout = (action, wait) => {{ window.waits.push(wait); return 0; }};
            client.flush(); 0"""
        )
        wait_until(lambda: tab.evaluate("window.waits.length") > 0)
        assert tab.evaluate("window.waits[0]") == pytest.approx(milliseconds)


def test_an_event_that_is_wrong_is_dropped_once(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.evaluate("client.track('Wrong'); client.track('click')")
        assert [event["type"] for event in wait_for_events(valkey, 1)] == ["click"]
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        assert len(read_stream(valkey, KEYS.dead)) == 1


LARGE_EVENTS = """for (let number = 0; number < 20; number++)
    client.track("click", {item: `i${number}`, properties: {title: "映".repeat(2500)}}); 0"""
"""50,000 letters, which are 150,000 bytes: more than a browser sends beyond a page."""


def test_letters_of_several_bytes_are_sent_in_requests_that_the_browser_takes(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.evaluate(LARGE_EVENTS)
        items = [event["item"] for event in wait_for_events(valkey, 20)]
        assert items == [f"i{number}" for number in range(20)]
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        assert tab.evaluate("client.failures") == 0


def test_a_beacon_takes_the_oldest_events_that_fit(
    browser: Browser, shop: str, service: httpx.Client, valkey: str
) -> None:
    with page(browser, shop, service, ", flushMs: 1e9") as tab:
        tab.evaluate(LARGE_EVENTS)
        tab.go(f"{shop}/b")
        # An event has 7,500 bytes and a few hundred around them, and a request 60,000.
        items = [event["item"] for event in wait_for_events(valkey, 7)]
        assert items == [f"i{number}" for number in range(7)]
        start_client(tab, service)  # the next page sends the others
        assert len({event["item"] for event in wait_for_events(valkey, 20)}) == 20
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        assert len(events(valkey)) == 20


@pytest.mark.parametrize("value", ["window", "10n"], ids=["a circle", "a large number"])
def test_an_event_that_json_can_not_hold_keeps_no_other_back(
    browser: Browser, shop: str, service: httpx.Client, valkey: str, value: str
) -> None:
    with page(browser, shop, service) as tab:
        tab.evaluate(
            f"""window.errors = []; console.error = (line) => window.errors.push(line);
            client.track("click", {{item: "i1", properties: {{value: {value}}}}});
            client.track("click", {{item: "i2"}}); 0"""
        )
        assert [event["item"] for event in wait_for_events(valkey, 1)] == ["i2"]
        wait_until(lambda: tab.evaluate("client.events.length") == 0)
        [error] = tab.evaluate("window.errors")
        assert error.startswith("dawnlist: the event can't be sent: ")


def test_the_client_is_small() -> None:
    file = Path(__file__).parents[1] / "serving" / "collector" / "client.js"
    assert len(file.read_bytes()) < 11_000
    assert len(gzip.compress(file.read_bytes())) < 4_000
