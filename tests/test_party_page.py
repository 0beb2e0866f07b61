"""The watch party's page in real browsers: in step, in order, by keyboard, and readable by everybody."""

import contextlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.chromium import Browser, Tab, chromium, needs_chromium, wait_until
from tests.support.party_members import party_process
from tests.support.slow_links import Link, relays
from tests.support.viewers import Viewer, is_near, open_viewer

pytestmark = needs_chromium

AXE = "axe-core@4.14.1"
HOSTILE = "<img src=x onerror='window.broken = 1'> see https://example.org/a?b=1 now"


SUGGESTED = [
    {"item": "i7", "title": "<b>Tin</b>", "score": 1.0, "for": ["Ana", "Ben"], "seen_by": []},
    {"item": "i8", "title": "Harbour", "score": 0.5, "for": [], "seen_by": ["Cleo"]},
]


@pytest.fixture(scope="module")
def server(valkey_server: str) -> Iterator[str]:
    with party_process(valkey_server) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


def create_room(server: str, **facts: Any) -> str:
    """Create a room, and return the address of its page."""
    wish = {"name": "Film night", "access": "open", "control": "all", "guests": True, **facts}
    answer = httpx.post(f"{server}/v1/rooms", json=wish)
    assert answer.status_code == 201, answer.text
    return f"{server}/rooms/{answer.json()['room']}"


@contextlib.contextmanager
def join(browser: Browser, address: str, name: str = "Ana") -> Iterator[Tab]:
    """A tab in a room."""
    tab = browser.open_tab(address)
    Viewer(tab).join(name)
    yield tab
    tab.close()


def read_text(tab: Tab, element: str) -> str:
    return str(tab.evaluate(f"document.getElementById('{element}')?.textContent"))


def read_lines(tab: Tab, element: str) -> list[str]:
    code = f"[...document.querySelectorAll('#{element} > *')].map((line) => line.textContent)"
    return list(tab.evaluate(code))


def say(tab: Tab, text: str) -> None:
    fill = f"document.getElementById('say').value = {json.dumps(text)}"
    tab.evaluate(f"{fill}; document.getElementById('chat-form').requestSubmit()")


def press(tab: Tab, key: str, **more: Any) -> None:
    """Press a key, as a keyboard does."""
    text = {"text": key} if len(key) == 1 else {}
    tab.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **more)
    tab.call("Input.dispatchKeyEvent", type="keyUp", key=key, **more)


def test_two_browsers_over_bad_links_come_into_step(server: str) -> None:
    links = [Link(0.02, 0.005, 0.02), Link(0.15, 0.03, 0.02)]
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(relays(links, int(server.rsplit(":", 1)[1])))
        path = create_room(server).removeprefix(server)
        viewers = []
        for number, (port, skew) in enumerate(zip(ports, (0.0, -17.0), strict=True)):
            viewer = stack.enter_context(open_viewer(f"http://127.0.0.1:{port}{path}", skew))
            viewer.join(f"viewer {number}")
            viewers.append(viewer)
        viewers[0].play()
        wait_until(lambda: is_near(viewers, 25))
        viewers[1].seek(60.0)
        wait_until(lambda: is_near(viewers, 60 * 25))
        viewers[0].play()  # the button pauses now
        wait_until(lambda: all(viewer.evaluate("party.player.video.paused") for viewer in viewers))
        code = "[party.player.video.currentTime, readFrame(party.player.video)]"
        wait_until(lambda: viewers[0].evaluate(code) == viewers[1].evaluate(code))


def test_who_joins_later_sees_what_the_others_see(server: str) -> None:
    address = create_room(server)
    with open_viewer(address) as first:
        first.join("Ana")
        first.play()
        wait_until(lambda: first.evaluate("party.player.video.currentTime > 1"))
        with open_viewer(address) as second:
            second.join("Ben")
            wait_until(lambda: is_near([first, second], 50))
            assert second.evaluate("shownFrames.length") < first.evaluate("shownFrames.length")


def test_who_joins_after_the_end_sees_the_end(browser: Browser, server: str) -> None:
    address = create_room(server)
    with join(browser, address, "Ana") as ana:
        ana.evaluate("party.set({media_time: 89})")
        wait_until(lambda: ana.evaluate("party.state.media_time === 89 && !party.state.held"))
        ana.evaluate("document.getElementById('play').click()")
        wait_until(lambda: ana.evaluate("party.player.video.ended"))
        with join(browser, address, "Ben") as ben:
            wait_until(lambda: ben.evaluate("party.player.video.currentTime") == 90)
            assert ana.evaluate("party.player.video.currentTime") == 90
            ana.evaluate("party.set({media_time: 40})")
            near = "Math.abs(party.player.video.currentTime - 40) < 30"
            wait_until(lambda: ana.evaluate(near) and ben.evaluate(near))


def test_the_lobby_makes_a_room_and_its_maker_is_its_host(browser: Browser, server: str) -> None:
    tab = browser.open_tab(f"{server}/")
    for field, value in (("name", "Tin <b>sailors</b>"), ("person", "Ana")):
        tab.evaluate(f"document.getElementById('{field}').value = '{value}'")
    tab.evaluate("document.getElementById('create').requestSubmit()")
    wait_until(lambda: "/rooms/" in tab.evaluate("location.href"))
    wait_until(lambda: read_text(tab, "status") == "You are in the room.")
    assert tab.evaluate("document.querySelector('h1').textContent") == "Tin <b>sailors</b>"
    assert read_lines(tab, "members") == ["Anayou, host"]
    assert tab.evaluate("document.getElementById('host').hidden") is False
    tab.close()


def test_a_reloaded_page_is_the_same_member(browser: Browser, server: str) -> None:
    with join(browser, create_room(server)) as tab:
        member = tab.evaluate("party.member")
        tab.call("Page.reload")
        wait_until(lambda: tab.evaluate("window.party?.member") == member)


def join_by_form(tab: Tab, name: str, password: str = "") -> None:
    """Fill the form at the door, and send it."""
    for field, value in (("person", name), ("room-password", password)):
        tab.evaluate(f"document.getElementById('{field}').value = {json.dumps(value)}")
    tab.evaluate("document.getElementById('join').requestSubmit()")


def test_a_room_by_invitation_with_a_password_takes_who_has_both(
    browser: Browser, server: str
) -> None:
    wish = {"name": "Secret", "access": "invitation", "password": "popcorn", "control": "all"}
    facts = httpx.post(f"{server}/v1/rooms", json=wish).json()
    address = f"{server}/rooms/{facts['room']}"
    uninvited = browser.open_tab(address)
    join_by_form(uninvited, "Eve", "popcorn")
    wait_until(lambda: "invitation" in read_text(uninvited, "problem"))
    uninvited.close()
    tab = browser.open_tab(f"{address}#invitation={facts['invitation']}")
    assert tab.evaluate("document.getElementById('password-field').hidden") is False
    join_by_form(tab, "Ana", "crisps")
    wait_until(lambda: "password is wrong" in read_text(tab, "problem"))
    join_by_form(tab, "Ana", "popcorn")
    wait_until(lambda: read_text(tab, "status") == "You are in the room.")
    tab.close()


def test_hosts_take_people_out_and_keep_the_controls(browser: Browser, server: str) -> None:
    wish = {"name": "Strict", "control": "hosts"}
    facts = httpx.post(f"{server}/v1/rooms", json=wish).json()
    address = f"{server}/rooms/{facts['room']}"
    host = browser.open_tab(address)
    key = f"dawnlist-party-ticket-{facts['room']}"
    host.evaluate(f"sessionStorage.setItem('{key}', '{facts['ticket']}'); location.reload()")
    wait_until(lambda: host.evaluate("window.party?.member") == facts["member"])
    with join(browser, address, "Ben") as ben:
        is_disabled = "document.getElementById('play').disabled"
        assert (ben.evaluate(is_disabled), host.evaluate(is_disabled)) == (True, False)
        assert ben.evaluate("document.getElementById('host').hidden") is True
        button = "document.querySelector('#members .row button')"
        wait_until(
            lambda: host.evaluate(f"{button}?.getAttribute('aria-label')") == "Take out: Ben"
        )
        host.evaluate(f"{button}.click()")
        wait_until(lambda: "taken you out" in read_text(ben, "problem"))
        assert ben.evaluate("document.getElementById('room').hidden") is True
        wait_until(lambda: host.evaluate("party.people.members.size") == 1)
    host.close()


def test_a_page_that_was_replaced_takes_its_place_back(browser: Browser, server: str) -> None:
    with join(browser, create_room(server)) as tab:
        member = tab.evaluate("party.member")
        ticket, address = tab.evaluate("[party.connection.ticket, party.connection.address]")
        hello = {"type": "hello", "ticket": ticket, "last_seq": None, "last_chat": None}
        with connect(address) as other:
            other.send(json.dumps(hello))
            wait_until(lambda: "somewhere else" in read_text(tab, "problem"))
            join_by_form(tab, "Ana")
            wait_until(lambda: read_text(tab, "status") == "You are in the room.")
            assert tab.evaluate("party.member") == member


def test_chat_is_text_and_links_are_dead_unless_the_host_allows(
    browser: Browser, server: str
) -> None:
    address = create_room(server)
    with join(browser, address, "Ana") as ana, join(browser, address, "Ben") as ben:
        say(ana, HOSTILE)
        wait_until(lambda: f"Ana{HOSTILE}" in read_lines(ben, "chat"))
        wait_until(lambda: f"Ana{HOSTILE}" in read_lines(ana, "chat"))
        assert len(read_lines(ana, "chat")) == 1  # the waiting line has made way for the room's
        assert ben.evaluate("document.querySelectorAll('#chat img, #chat a').length") == 0
        ben.evaluate("party.facts.links = true")
        say(ana, HOSTILE)
        wait_until(lambda: len(read_lines(ben, "chat")) == 2)
        links = ben.evaluate(
            "[...document.querySelectorAll('#chat a')].map((a) => [a.href, a.rel])"
        )
        assert links == [["https://example.org/a?b=1", "noopener noreferrer nofollow"]]
        assert read_lines(ben, "chat")[1] == f"Ana{HOSTILE}"
        assert ben.evaluate("window.broken") is None


def test_what_was_said_without_a_connection_arrives_once(browser: Browser, server: str) -> None:
    address = create_room(server)
    with join(browser, address, "Ana") as ana, join(browser, address, "Ben") as ben:
        say(ana, "first")
        wait_until(lambda: read_lines(ben, "chat") == ["Anafirst"])
        ana.evaluate("party.connection.socket.close()")
        wait_until(lambda: not ana.evaluate("party.connection.isUp"))
        say(ana, "second")
        assert read_lines(ana, "chat") == ["Anafirst", "Anasecond"]
        wait_until(lambda: read_lines(ben, "chat") == ["Anafirst", "Anasecond"])
        say(ben, "third")
        wait_until(lambda: read_lines(ana, "chat") == ["Anafirst", "Anasecond", "Benthird"])
        assert ana.evaluate("document.querySelectorAll('#chat .waits').length") == 0


def test_a_change_that_came_too_late_is_taken_back(browser: Browser, server: str) -> None:
    with join(browser, create_room(server)) as tab:
        tab.evaluate(
            "party.send({type: 'set', seq: party.state.seq - 1, changes: {paused: false}})"
        )
        wait_until(lambda: read_text(tab, "status").startswith("Somebody was quicker"))
        assert tab.evaluate("party.state.paused") is True


def test_keys_work_on_the_player_and_nowhere_else(browser: Browser, server: str) -> None:
    with join(browser, create_room(server)) as tab:
        wait_until(lambda: tab.evaluate("party.player.video.duration") == 90)
        tab.evaluate("document.getElementById('say').focus()")
        press(tab, "k")
        tab.evaluate("document.getElementById('screen').focus()")
        press(tab, "ArrowRight", windowsVirtualKeyCode=39)
        press(tab, "ArrowRight", windowsVirtualKeyCode=39)
        wait_until(lambda: tab.evaluate("party.state.media_time") == 20)
        assert tab.evaluate("party.state.paused") is True
        assert tab.evaluate("document.getElementById('say').value") == "k"
        wait_until(lambda: not tab.evaluate("party.state.held"))
        press(tab, " ")
        wait_until(lambda: tab.evaluate("party.state.paused") is False)
        was_muted = tab.evaluate("party.player.video.muted")
        press(tab, "m")
        pressed = "document.getElementById('mute').getAttribute('aria-pressed')"
        wait_until(lambda: tab.evaluate(pressed) == str(not was_muted).lower())
        assert tab.evaluate("party.player.video.muted") is not was_muted


def test_reactions_and_typing_are_shown_with_their_names(browser: Browser, server: str) -> None:
    address = create_room(server)
    with join(browser, address, "Ana") as ana, join(browser, address, "Ben") as ben:
        ana.evaluate("document.querySelector('#emojis button').click()")
        wait_until(lambda: read_text(ben, "reactions") == "Ana: 😍 love it")
        ana.evaluate("document.getElementById('say').focus()")
        press(ana, "x")
        wait_until(lambda: read_text(ben, "typing") == "Ana typing …")


def test_the_queue_is_one_for_all_and_votes_are_counted(browser: Browser, server: str) -> None:
    address = create_room(server)
    with join(browser, address, "Ana") as ana, join(browser, address, "Ben") as ben:
        ana.evaluate(
            "document.getElementById('queue-item').value = 'clip';"
            " document.getElementById('queue-form').requestSubmit()"
        )
        vote = "#queue [data-vote=clip]"
        wait_until(lambda: ben.evaluate(f"Boolean(document.querySelector('{vote}'))"))
        ben.evaluate(f"document.querySelector('{vote}').click()")
        count = f"document.querySelector('{vote}').textContent"
        wait_until(lambda: ana.evaluate(count) == "👍 1" and ben.evaluate(count) == "👍 1")
        pressed = f"document.querySelector('{vote}').getAttribute('aria-pressed')"
        assert (ana.evaluate(pressed), ben.evaluate(pressed)) == ("false", "true")
        ben.evaluate(f"document.querySelector('{vote}').click()")
        wait_until(lambda: ana.evaluate(count) == "👍 0")
        ana.evaluate("document.querySelector('#queue li button:last-child').click()")
        wait_until(lambda: read_lines(ben, "queue") == ["Nothing is queued."])


def test_suggestions_say_for_whom_they_are_and_who_has_seen_them(
    browser: Browser, server: str
) -> None:
    with join(browser, create_room(server)) as tab:
        tab.evaluate("document.getElementById('suggest').click()")
        wait_until(lambda: "no predictor" in read_text(tab, "status"))  # this server has none
        tab.evaluate(f"party.nextFilms.setSuggestions({json.dumps(SUGGESTED)})")
        first, second = read_lines(tab, "suggestions")
        assert first == "<b>Tin</b>👍 0Queuefor Ana, Ben"
        assert second == "Harbour👍 0Queueseen by Cleo"
        tab.evaluate("document.querySelectorAll('#suggestions li:first-child button')[1].click()")
        wait_until(lambda: tab.evaluate("party.nextFilms.queue.length") == 1)
        assert tab.evaluate("party.nextFilms.queue[0].item") == "i7"
        tab.evaluate("party.nextFilms.setSuggestions([])")
        assert read_lines(tab, "suggestions")[0].startswith("Nothing fits")


def test_a_list_that_cannot_be_played_is_told(browser: Browser, server: str) -> None:
    with join(browser, create_room(server)) as tab:
        tab.evaluate("HTMLMediaElement.prototype.canPlayType = () => ''")
        state = "{...party.state, url: '/static/none.m3u8'}"
        tab.evaluate(f"party.player.follow({state}); 0")
        wait_until(lambda: tab.evaluate("Boolean(window.Hls)"))
        wait_until(lambda: read_text(tab, "notice") == "This browser can't play the film.")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker's source, from the package registry."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here to get axe-core by")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "pack", AXE, "--silent", "--pack-destination", str(folder)]
    answer = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    if answer.returncode:
        pytest.skip("axe-core can't be had from the package registry")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extract("package/axe.min.js", folder, filter="data")
    return Path(folder, "package", "axe.min.js").read_text("utf-8")


def list_violations(tab: Tab, axe: str) -> list[str]:
    """Check a page by all rules, and name what is wrong, with the elements."""
    tab.evaluate(f"{axe}; 0")
    result = tab.evaluate("axe.run().then((result) => JSON.stringify(result.violations))")
    violations = []
    for rule in json.loads(result):
        places = [node["html"] for node in rule["nodes"]]
        violations.append(f"{rule['id']}: {rule['help']}: {places}")
    return violations


@pytest.mark.parametrize("width", [1280, 400])
def test_the_pages_have_no_accessibility_violation(
    browser: Browser, server: str, axe: str, width: int, tmp_path: Path
) -> None:
    address = create_room(server)
    lobby = browser.open_tab(f"{server}/")
    lobby.take_screenshot(tmp_path / "lobby.png", width, 900)
    assert list_violations(lobby, axe) == []
    outside = browser.open_tab(address)
    outside.take_screenshot(tmp_path / "outside.png", width, 900)
    assert list_violations(outside, axe) == []
    with join(browser, address) as tab:
        say(tab, "Hello")
        wait_until(lambda: read_lines(tab, "chat") == ["AnaHello"])
        tab.evaluate(f"party.nextFilms.setSuggestions({json.dumps(SUGGESTED)})")
        tab.evaluate("party.nextFilms.setQueue([{item: 'i1', title: 'Harbour'}])")
        # What hosts see, too.
        tab.evaluate(
            "party.people.setAll([{id: party.member, name: 'Ana', host: true}, {id: 'b', name: 'Ben'}])"
        )
        assert tab.evaluate("document.getElementById('host').hidden") is False
        tab.take_screenshot(tmp_path / "room.png", width, 900)
        assert list_violations(tab, axe) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    for page in (lobby, outside):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()


def test_the_checker_sees_what_is_wrong(browser: Browser, server: str, axe: str) -> None:
    tab = browser.open_tab(f"{server}/")
    tab.evaluate("document.querySelector('label[for=name]').remove()")
    assert [line.split(":")[0] for line in list_violations(tab, axe)] == ["label"]
    tab.close()
