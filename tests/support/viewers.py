"""Viewers of a watch party: browsers whose frames are read from the picture itself."""

import bisect
import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.chromium import Tab, chromium, wait_until

FRAMES_A_SECOND = 25
NEAR_FRAMES = 3
"""Frames (40 ms each) by which two viewers may be apart once they are in step."""
WATCH_FRAMES = """
(() => {
  const origin = performance.timeOrigin;
  const now = performance.now.bind(performance);
  // The browser's clock is wrong by this much, as people's clocks are; the reader below keeps the right one.
  Object.defineProperty(Performance.prototype, "timeOrigin", { get: () => origin + 1000 * SKEW });
  window.shownFrames = [];
  window.readTrueTime = () => (origin + now()) / 1000;
  const canvas = new OffscreenCanvas(320, 16);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  window.readFrame = (video) => {
    pen.drawImage(video, 0, 0, video.videoWidth, 16, 0, 0, 320, 16);
    const row = pen.getImageData(0, 8, 320, 1).data;
    let code = 0;
    for (let cell = 0; cell < 16; cell += 1) code = (code << 1) | (row[4 * (20 * cell + 10)] > 127 ? 1 : 0);
    const number = code >> 4;
    return ((number ^ (number >> 4) ^ (number >> 8) ^ 10) & 15) === (code & 15) ? number : null;
  };
  const watch = () => {
    const video = document.querySelector("video");
    const look = (time, facts) => {
      const number = readFrame(video);
      if (number !== null) shownFrames.push([(origin + facts.expectedDisplayTime) / 1000, number, facts.mediaTime]);
      video.requestVideoFrameCallback(look);
    };
    if (video) video.requestVideoFrameCallback(look);
  };
  addEventListener("DOMContentLoaded", watch);
})()
"""


@dataclass(frozen=True)
class Shown:
    """What a viewer showed: the moments at which frames came up, and the frames."""

    times: list[float]
    frames: list[int]

    def frame_at(self, time: float) -> int:
        """The frame that the viewer showed at a moment."""
        position = bisect.bisect_right(self.times, time) - 1
        assert position >= 0, "nothing was shown yet"
        return self.frames[position]


@dataclass(frozen=True)
class Viewer:
    """A browser of its own with the room's page."""

    tab: Tab

    def join(self, name: str) -> None:
        """Join the room by the page's form, and wait until the page knows the server's clock."""
        fill = f"document.getElementById('person').value = {json.dumps(name)}"
        self.tab.evaluate(f"{fill}; document.getElementById('join').requestSubmit()")
        wait_until(lambda: self.evaluate("window.party?.connection.clock.samples.length >= 4"))

    def evaluate(self, expression: str) -> Any:
        return self.tab.evaluate(expression)

    def play(self) -> None:
        self.tab.evaluate("document.getElementById('play').click()")

    def seek(self, seconds: float) -> None:
        self.tab.evaluate(f"party.set({{media_time: {seconds}}})")

    def read_shown(self) -> Shown:
        rows = self.tab.evaluate("shownFrames")
        rows.sort()
        return Shown([row[0] for row in rows], [row[1] for row in rows])


@contextlib.contextmanager
def open_viewer(address: str, skew: float = 0.0, script: str = "") -> Iterator[Viewer]:
    """Open a room's page in a browser of its own.

    Args:
        address: The page.
        skew: Seconds by which the browser's clock is wrong.
        script: What runs before the page's own scripts.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, chromium(Path(home)) as browser:  # fmt: skip
        tab = browser.open_tab("about:blank")
        source = f"{WATCH_FRAMES.replace('SKEW', str(skew))};{script}"
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)
        tab.go(address)
        yield Viewer(tab)


def measure_distances(viewers: list[Shown], start: float, end: float) -> list[float]:
    """Measure, 50 times a second, how far the viewers are apart: seconds of film between the first and the last."""
    distances = []
    for step in range(int((end - start) * 50)):
        frames = [shown.frame_at(start + step / 50) for shown in viewers]
        distances.append((max(frames) - min(frames)) / FRAMES_A_SECOND)
    return distances


def is_near(viewers: list[Viewer], least_frame: int) -> bool:
    """Whether all show nearly the same frame now, and at least this one."""
    moments = [viewer.evaluate("readTrueTime()") for viewer in viewers]
    shown = [viewer.read_shown() for viewer in viewers]
    if not all(rows.times for rows in shown):
        return False
    moment = min(*moments, *(rows.times[-1] for rows in shown))
    if any(rows.times[0] > moment for rows in shown):
        return False
    frames = [rows.frame_at(moment) for rows in shown]
    return min(frames) >= least_frame and max(frames) - min(frames) <= NEAR_FRAMES
