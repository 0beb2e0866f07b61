"""A film in HLS: VP9 in fragments of MP4, made of frames that a browser has encoded."""

import struct
from pathlib import Path

from tests.support.bar_code_frames import FRAMES_A_SECOND, HEIGHT, WIDTH, Chunk

CODEC = "vp09.00.10.08"
FRAME_MILLISECONDS = 1000 // FRAMES_A_SECOND
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
KEY_FLAGS, OTHER_FLAGS = 0x02000000, 0x01010000
"""A frame that depends on none, and one that depends on others."""


def write_box(kind: str, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return struct.pack(">I", 8 + len(payload)) + kind.encode() + payload


def write_full_box(kind: str, version: int, flags: int, *parts: bytes) -> bytes:
    return write_box(kind, struct.pack(">I", version << 24 | flags), *parts)


def write_sample_entry() -> bytes:
    """Write how the frames are encoded: VP9, profile 0, 8 bits."""
    sizes = struct.pack(">HHIIIH", WIDTH, HEIGHT, 0x480000, 0x480000, 0, 1)
    head = bytes(6) + struct.pack(">H", 1) + bytes(16) + sizes + bytes(32)
    facts = write_full_box("vpcC", 1, 0, bytes([0, 10, 8 << 4 | 1 << 1, 1, 1, 1, 0, 0]))
    return write_box("vp09", head, struct.pack(">Hh", 0x18, -1), facts)


def write_media() -> bytes:
    """Write the track's own facts: a clock of milliseconds, pictures, and no frames yet."""
    source = write_full_box("dref", 0, 0, struct.pack(">I", 1), write_full_box("url ", 0, 1))
    tables = [
        write_full_box("stsd", 0, 0, struct.pack(">I", 1), write_sample_entry()),
        write_full_box("stts", 0, 0, bytes(4)),
        write_full_box("stsc", 0, 0, bytes(4)),
        write_full_box("stsz", 0, 0, bytes(8)),
        write_full_box("stco", 0, 0, bytes(4)),
    ]
    information = write_box(
        "minf",
        write_full_box("vmhd", 0, 1, bytes(8)),
        write_box("dinf", source),
        write_box("stbl", *tables),
    )
    return write_box(
        "mdia",
        write_full_box("mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, 1000, 0, 0x55C4, 0)),
        write_full_box("hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"film\0"),
        information,
    )


def write_start() -> bytes:
    """Write the segment that comes before all others."""
    movie = struct.pack(">IIIIIH", 0, 0, 1000, 0, 0x10000, 0x100)
    track = struct.pack(">IIIII", 0, 0, 1, 0, 0) + bytes(8) + bytes(8)
    size = struct.pack(">II", WIDTH << 16, HEIGHT << 16)
    return write_box("ftyp", b"iso6", bytes(4), b"iso6mp41") + write_box(
        "moov",
        write_full_box("mvhd", 0, 0, movie, bytes(10), MATRIX, bytes(24), struct.pack(">I", 2)),
        write_box("trak", write_full_box("tkhd", 0, 7, track, MATRIX, size), write_media()),
        write_box("mvex", write_full_box("trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))),
    )


def write_fragment(number: int, chunks: list[Chunk]) -> bytes:
    """Write a fragment, whose first frame depends on none."""
    samples = []
    for chunk in chunks:
        flags = KEY_FLAGS if chunk.is_key else OTHER_FLAGS
        samples.append(struct.pack(">III", FRAME_MILLISECONDS, len(chunk.data), flags))
    head = write_movie_fragment(number, chunks[0].milliseconds, samples, 0)
    head = write_movie_fragment(number, chunks[0].milliseconds, samples, len(head) + 8)
    return head + write_box("mdat", *[chunk.data for chunk in chunks])


def write_movie_fragment(number: int, start: int, samples: list[bytes], offset: int) -> bytes:
    """Write a fragment's table of frames, which begin so many bytes after its own beginning."""
    table = struct.pack(">Ii", len(samples), offset)
    track = write_box(
        "traf",
        write_full_box("tfhd", 0, 0x20000, struct.pack(">I", 1)),
        write_full_box("tfdt", 1, 0, struct.pack(">Q", start)),
        write_full_box("trun", 0, 0x701, table, *samples),
    )
    return write_box("moof", write_full_box("mfhd", 0, 0, struct.pack(">I", number)), track)


def write_hls_film(folder: Path, chunks: list[Chunk]) -> None:
    """Write a film to a folder: film.m3u8, its media list, and a segment for each second."""
    (folder / "start.mp4").write_bytes(write_start())
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD", '#EXT-X-MAP:URI="start.mp4"']
    for first in range(0, len(chunks), FRAMES_A_SECOND):
        number = first // FRAMES_A_SECOND + 1
        fragment = write_fragment(number, chunks[first : first + FRAMES_A_SECOND])
        (folder / f"{number}.m4s").write_bytes(fragment)
        lines += ["#EXTINF:1.0,", f"{number}.m4s"]
    (folder / "media.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    stream = f'#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="{CODEC}",RESOLUTION={WIDTH}x{HEIGHT}'
    (folder / "film.m3u8").write_text("\n".join(["#EXTM3U", stream, "media.m3u8", ""]))
