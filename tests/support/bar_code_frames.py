"""Frames that tell their number by a bar code, drawn and encoded by a headless Chromium."""

import base64
from dataclasses import dataclass

from tests.support.chromium import Tab

WIDTH, HEIGHT, FRAMES_A_SECOND = 320, 180, 25
KEY_FRAME_EVERY = 25
BITRATE = 70_000
FRAMES_A_CALL = 250

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
encoder.configure({ codec: CODEC, width: WIDTH, height: HEIGHT, bitrate: RATE, framerate: FPS });

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


def encode_frames(tab: Tab, seconds: int, codec: str) -> list[Chunk]:
    """Have a tab draw and encode the frames of so many seconds.

    Args:
        tab: A tab with a page of a secure origin: https, a file, or this machine's own.
        seconds: The length.
        codec: Its name as WebCodecs has it, e.g. vp8.
    """
    frames = seconds * FRAMES_A_SECOND
    constants = (
        f"const WIDTH = {WIDTH}, HEIGHT = {HEIGHT}, FPS = {FRAMES_A_SECOND}, FRAMES = {frames}, "
        f"RATE = {BITRATE}, KEY_EVERY = {KEY_FRAME_EVERY}, CODEC = '{codec}';"
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
