"""Make the watch party's short film, whose frames tell their number: python benchmarks/party_clip.py

A headless Chromium draws and encodes each frame (VP8), and this script writes the WebM file. Each frame has
its number as a bar code of 16 cells along its upper edge: 12 bits of number, 4 bits of check sum.
"""

import argparse
import struct
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # the tests' browser

from tests.support.bar_code_frames import (
    FRAMES_A_SECOND,
    HEIGHT,
    WIDTH,
    Chunk,
    encode_frames,
)
from tests.support.chromium import chromium

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "serving" / "watchparty" / "page" / "clip.webm"
SECONDS = 90

PAGE = """<!doctype html><meta charset="utf-8"><title>clip</title>"""


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
            chunks = encode_frames(browser.open_tab(page.as_uri()), SECONDS, "vp8")
    content = write_webm(chunks)
    file.write_bytes(content)
    print(f"{file.name}: {len(chunks):,} frames, {len(content):,} bytes")


if __name__ == "__main__":
    main()
