"""Pictures of the watch party's pages for docs/images: python benchmarks/party_pictures.py"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # the tests' browser and server

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from tests.support.chromium import Tab, chromium, wait_until
from tests.support.party_members import party_process
from tests.support.viewers import Viewer

IMAGES = Path("docs/images")
LINES = (
    ("Ana", "Is everybody here?"),
    ("Ben", "Yes, with popcorn 🍿"),
    ("Ana", "Then I start the film."),
    ("Cleo", "The clock is in step with mine!"),
)
PEOPLE = ("Ana", "Ben", "Cleo")


def create_room(tab: Tab, person: str) -> str:
    """Create a room by the lobby's form, and return its page's address."""
    for field, value in (("name", "Friday's film"), ("person", person)):
        tab.evaluate(f"document.getElementById('{field}').value = {json.dumps(value)}")
    tab.evaluate("document.getElementById('create').requestSubmit()")
    wait_until(lambda: tab.evaluate("window.party?.connection.clock.samples.length >= 4"))
    return str(tab.evaluate("location.href"))


def say(tab: Tab, text: str) -> None:
    """Say something in the chat, and wait until it is there."""
    fill = f"document.getElementById('say').value = {json.dumps(text)}"
    tab.evaluate(f"{fill}; document.getElementById('chat-form').requestSubmit()")
    last = "document.querySelector('#chat').lastElementChild"
    shown = f"{last}.textContent.endsWith({json.dumps(text)}) && !{last}.className"
    wait_until(lambda: tab.evaluate(shown))


def queue(tab: Tab, item: str) -> None:
    """Put a film into the queue."""
    fill = f"document.getElementById('queue-item').value = {json.dumps(item)}"
    tab.evaluate(f"{fill}; document.getElementById('queue-form').requestSubmit()")
    wait_until(lambda: tab.evaluate(f"document.querySelectorAll('[data-vote={item}]').length"))


def fill_room(tabs: dict[str, Tab]) -> None:
    """Watch, talk, queue and vote."""
    for name, text in LINES:
        say(tabs[name], text)
    tabs["Ana"].evaluate("document.getElementById('play').click()")
    for item in ("sailors", "harbour"):
        queue(tabs["Ben"], item)
    tabs["Cleo"].evaluate("document.querySelector('[data-vote=harbour]').click()")
    wait_until(lambda: tabs["Ana"].evaluate("party.player.video.currentTime > 2"))
    tabs["Ben"].evaluate("document.querySelector('#emojis button').click()")
    time.sleep(0.5)


def main() -> None:
    """Take a picture of the lobby and of a room, wide and narrow."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        store = stack.enter_context(run_embedded_valkey(Path(folder, "valkey")))
        server, _ = stack.enter_context(party_process(store))
        tabs = {}
        for name in PEOPLE:
            browser = stack.enter_context(chromium(Path(folder, name)))
            tabs[name] = browser.open_tab(f"{server}/")
        address = create_room(tabs["Ana"], "Ana")
        for name in PEOPLE[1:]:
            tabs[name].go(address)
            Viewer(tabs[name]).join(name)
        fill_room(tabs)
        tabs["Ana"].take_screenshot(IMAGES / "party-room-1280.png", 1280, 1150)
        tabs["Ana"].take_screenshot(IMAGES / "party-room-400.png", 400, 1900)
        tabs["Ben"].go(f"{server}/")
        tabs["Ben"].take_screenshot(IMAGES / "party-lobby-1280.png", 1280, 700)
        tabs["Ben"].take_screenshot(IMAGES / "party-lobby-400.png", 400, 1000)


if __name__ == "__main__":
    main()
