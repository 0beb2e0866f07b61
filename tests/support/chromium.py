"""A headless Chromium that tests drive by its DevTools protocol, where the machine has one."""

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

BINARY = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needs_chromium = pytest.mark.skipif(BINARY is None, reason="there is no Chromium here")
WAIT_SECONDS = 60.0
PERSONS_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"


class Browser:
    """A browser, by its DevTools socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._next_id = 0

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        self._next_id += 1
        message: dict[str, Any] = {"id": self._next_id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(WAIT_SECONDS))
            if answer.get("id") == self._next_id:
                assert "error" not in answer, answer
                return answer["result"]

    def open_tab(self, url: str) -> "Tab":
        """Open a page in a new tab, and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        tab.call("Network.enable")
        tab.call("Page.enable")
        # A headless browser names itself, and is taken for the program that it is.
        tab.call("Network.setUserAgentOverride", userAgent=PERSONS_AGENT)
        tab.go(url)
        return tab


class Tab:
    """A tab of a browser."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol for this tab."""
        return self._browser.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        wait_until(lambda: self.evaluate("location.href + document.readyState") == f"{url}complete")

    def evaluate(self, expression: str) -> Any:
        """Evaluate an expression of JavaScript; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def set_offline(self, offline: bool) -> None:
        """Take the network away from the tab, or give it back."""
        self.call(
            "Network.emulateNetworkConditions",
            offline=offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def block(self, *patterns: str) -> None:
        """Block requests to addresses of these patterns, as an ad blocker does."""
        self.call("Network.setBlockedURLs", urls=list(patterns))

    def take_screenshot(self, file: Path, width: int = 1280, height: int = 800) -> None:
        """Write a picture of the page."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(picture))

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)


@contextlib.contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """Run a browser with a new profile."""
    assert BINARY is not None
    command = [
        BINARY,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        # Else it stops silent films of all tabs but the one in front.
        "--disable-background-media-suspend",
        "--disable-renderer-backgrounding",
        "--remote-debugging-port=0",
    ]
    command += [
        f"--user-data-dir={home}",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "about:blank",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = home / "DevToolsActivePort"
        wait_until(lambda: port_file.is_file() and "\n" in port_file.read_text())
        port, path = port_file.read_text().split()
        address = f"ws://127.0.0.1:{port}{path}"
        # The browser does not answer pings while the test waits.
        with connect(
            address, max_size=None, open_timeout=WAIT_SECONDS, ping_interval=None
        ) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait()


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)
