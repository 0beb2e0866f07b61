"""A film in HLS in a watch party, in a browser that plays none by itself: the vendored player does."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bar_code_frames import encode_frames
from tests.support.chromium import chromium, needs_chromium, wait_until
from tests.support.hls_films import CODEC, write_hls_film
from tests.support.party_members import create_room, party_process
from tests.support.viewers import is_near, open_viewer

pytestmark = needs_chromium

SECONDS = 40
NO_HLS = "HTMLMediaElement.prototype.canPlayType = () => ''"


@contextlib.contextmanager
def film_server(folder: Path) -> Iterator[str]:
    """A server of films with an origin of its own, which lets the party's page read them."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def end_headers(self) -> None:
            self.send_header("access-control-allow-origin", "*")
            super().end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def films(tmp_path: Path) -> Iterator[str]:
    """The address of a server with a film."""
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "page.html").write_text("<!doctype html><title>film</title>")
    with chromium(tmp_path / "chromium") as browser:
        tab = browser.open_tab((folder / "page.html").as_uri())
        write_hls_film(folder, encode_frames(tab, SECONDS, CODEC))
    with film_server(folder) as address:
        yield address


def test_two_browsers_watch_a_list_of_segments_in_step(
    films: str, valkey_server: str, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"party: {{film_url: '{films}/{{item}}.m3u8'}}")
    with contextlib.ExitStack() as stack:
        party = party_process(valkey_server, f"--settings={settings}")
        server, _ = stack.enter_context(party)
        room = create_room(server, item="film")["room"]
        viewers = []
        for name in ("Ana", "Ben"):
            viewer = stack.enter_context(open_viewer(f"{server}/rooms/{room}", script=NO_HLS))
            viewer.join(name)
            viewers.append(viewer)
        assert viewers[0].evaluate("party.state.url") == f"{films}/film.m3u8"
        viewers[0].play()
        wait_until(lambda: is_near(viewers, 25))
        viewers[1].seek(30.0)
        wait_until(lambda: is_near(viewers, 30 * 25))
        assert viewers[0].evaluate("Boolean(party.player.hls)") is True
