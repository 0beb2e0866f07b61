"""Make the watch party's short film, whose frames tell their number: python benchmarks/party_clip.py

A headless Chromium draws and encodes each frame (VP8), and this script writes the WebM file. Each frame has
its number as a bar code of 16 cells along its upper edge: 12 bits of number, 4 bits of check sum.
"""

import argparse
import base64
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.chromium import Tab, chromium

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "serving" / "watchparty" / "page" / "clip.webm"
WIDTH, HEIGHT, FRAMES_A_SECOND = 320, 180, 25
SECONDS = 90
KEY_FRAME_EVERY = 25
BITRATE = 70_000
FRAMES_A_CALL = 250

PAGE = """<!doctype html><meta charset="utf-8"><title>clip</title>"""
ENCODER = """
const CELLS = 16, CELL = WIDTH / CELLS, EDGE = 16;
const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
const pen = canvas.getContext("2d");
window.chunks = [];

function drawFrame(number) {
  const second = number / FPS;
  pen.fillStyle = `hsl(${200 + 16 * Math.floor(second / 10)} 45% 18%)`;
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  drawCode(number);
  pen.textAlign = "center";
  pen.fillStyle = "#fff";
  pen.font = "bold 44px monospace";
  const clock = new Date(second * 1000).toISOString();
  pen.fillText(clock.slice(14, 19), WIDTH / 2 + 40, 100);
  pen.font = "16px monospace";
  pen.fillText(`frame ${String(number).padStart(4, "0")}`, WIDTH / 2 + 40, 128);
  drawHand(second);
  pen.fillStyle = "#f2a66b";
  pen.fillRect(0, HEIGHT - 6, WIDTH * number / FRAMES, 6);
}

function drawCode(number) {
  const sum = (number ^ (number >> 4) ^ (number >> 8) ^ 10) & 15;
  const bits = (number << 4) | sum;
  for (let cell = 0; cell < CELLS; cell += 1) {
    pen.fillStyle = (bits >> (CELLS - 1 - cell)) & 1 ? "#fff" : "#000";
    pen.fillRect(cell * CELL, 0, CELL, EDGE);
  }
}

function drawHand(second) {
  const angle = 2 * Math.PI * second - Math.PI / 2;
  pen.strokeStyle = "#fff";
  pen.lineWidth = 3;
  pen.beginPath();
  pen.arc(62, 96, 36, 0, 2 * Math.PI);
  pen.moveTo(62, 96);
  pen.lineTo(62 + 34 * Math.cos(angle), 96 + 34 * Math.sin(angle));
  pen.stroke();
}

function encodeText(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

const encoder = new VideoEncoder({
  output: (chunk) => {
    const bytes = new Uint8Array(chunk.byteLength);
    chunk.copyTo(bytes);
    chunks.push({ key: chunk.type === "key", time: chunk.timestamp, data: encodeText(bytes) });
  },
  error: (error) => { window.failure = String(error); },
});
encoder.configure({ codec: "vp8", width: WIDTH, height: HEIGHT, bitrate: RATE, framerate: FPS });

window.encodeFrames = async (first, last) => {
  for (let number = first; number < last; number += 1) {
    drawFrame(number);
    const frame = new VideoFrame(canvas, { timestamp: number * 1e6 / FPS });
    encoder.encode(frame, { keyFrame: number % KEY_EVERY === 0 });
    frame.close();
    if (encoder.encodeQueueSize > 20) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await encoder.flush();
  return chunks.splice(0);
};
"""


@dataclass(frozen=True)
class Chunk:
    """An encoded frame."""

    is_key: bool
    milliseconds: int
    data: bytes


def encode_frames(tab: Tab) -> list[Chunk]:
    """Have the browser draw and encode all frames."""
    frames = SECONDS * FRAMES_A_SECOND
    constants = (
        f"const WIDTH = {WIDTH}, HEIGHT = {HEIGHT}, FPS = {FRAMES_A_SECOND}, FRAMES = {frames}, "
        f"RATE = {BITRATE}, KEY_EVERY = {KEY_FRAME_EVERY};"
    )
    tab.evaluate(f"(() => {{{constants}{ENCODER}}})()")
    chunks = []
    for first in range(0, frames, FRAMES_A_CALL):
        last = min(first + FRAMES_A_CALL, frames)
        for chunk in tab.evaluate(f"encodeFrames({first}, {last})"):
            data = base64.b64decode(chunk["data"])
            chunks.append(Chunk(chunk["key"], round(chunk["time"] / 1000), data))
    assert len(chunks) == frames, (len(chunks), frames)
    return chunks


def write_element(number: str, payload: bytes) -> bytes:
    """Write an element of EBML: its id in hexadecimal, its size in eight bytes, its payload."""
    size = (len(payload) | 1 << 56).to_bytes(8, "big")
    return bytes.fromhex(number) + size + payload


def write_integer(number: str, value: int, size: int = 8) -> bytes:
    """Write an element whose payload is a whole number."""
    return write_element(number, value.to_bytes(size, "big"))


def write_cluster(chunks: list[Chunk]) -> bytes:
    """Write the frames from one key frame up to the next."""
    start = chunks[0].milliseconds
    blocks = [write_integer("e7", start)]
    for chunk in chunks:
        flags = 0x80 if chunk.is_key else 0
        head = b"\x81" + (chunk.milliseconds - start).to_bytes(2, "big") + bytes([flags])
        blocks.append(write_element("a3", head + chunk.data))
    return write_element("1f43b675", b"".join(blocks))


def write_header() -> bytes:
    """Write the head that says that the file is WebM."""
    versions = [write_integer(number, 1, 1) for number in ("4286", "42f7")]
    lengths = [write_integer("42f2", 4, 1), write_integer("42f3", 8, 1)]
    document = [
        write_element("4282", b"webm"),
        write_integer("4287", 2, 1),
        write_integer("4285", 2, 1),
    ]
    return write_element("1a45dfa3", b"".join(versions + lengths + document))


def write_track() -> bytes:
    """Write the one track: pictures in VP8."""
    picture = write_integer("b0", WIDTH, 2) + write_integer("ba", HEIGHT, 2)
    facts = [
        write_integer("d7", 1, 1),
        write_integer("73c5", 1, 1),
        write_integer("83", 1, 1),
        write_integer("23e383", 1_000_000_000 // FRAMES_A_SECOND),
        write_element("86", b"V_VP8"),
        write_element("e0", picture),
    ]
    return write_element("1654ae6b", write_element("ae", b"".join(facts)))


def write_cues(starts: list[int], offsets: list[int]) -> bytes:
    """Write where each cluster lies, so that a player can seek."""
    points = []
    for start, offset in zip(starts, offsets, strict=True):
        position = write_integer("f7", 1, 1) + write_integer("f1", offset)
        points.append(
            write_element("bb", write_integer("b3", start) + write_element("b7", position))
        )
    return write_element("1c53bb6b", b"".join(points))


def write_webm(chunks: list[Chunk]) -> bytes:
    """Write the whole file: head, length, track, index, and the frames."""
    groups: list[list[Chunk]] = []
    for chunk in chunks:
        if chunk.is_key:
            groups.append([])
        groups[-1].append(chunk)
    clusters = [write_cluster(group) for group in groups]
    starts = [group[0].milliseconds for group in groups]
    head = write_info() + write_track()
    # The index has the same size whatever the offsets are.
    offset = len(head) + len(write_cues(starts, [0] * len(starts)))
    offsets = []
    for cluster in clusters:
        offsets.append(offset)
        offset += len(cluster)
    segment = head + write_cues(starts, offsets) + b"".join(clusters)
    return write_header() + write_element("18538067", segment)


def write_info() -> bytes:
    """Write the unit of time (a millisecond), the film's length, and what made it."""
    facts = [
        write_integer("2ad7b1", 1_000_000),
        write_element("4489", struct.pack(">d", SECONDS * 1000.0)),
        write_element("4d80", b"dawnlist"),
        write_element("5741", b"dawnlist"),
    ]
    return write_element("1549a966", b"".join(facts))


def main() -> None:
    """Make the clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=CLIP)
    file = parser.parse_args().file
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(PAGE)
        with chromium(Path(folder, "profile")) as browser:
            chunks = encode_frames(browser.open_tab(page.as_uri()))
    content = write_webm(chunks)
    file.write_bytes(content)
    print(f"{file.name}: {len(chunks):,} frames, {len(content):,} bytes")


if __name__ == "__main__":
    main()
