import hashlib

from components.hashing import blake2b


def test_it_is_hashlib_s() -> None:
    """Of no text, of less, just and more than one block, of several, and of what is no ASCII."""
    texts = ["", "a", "é" * 70, *("x" * n for n in (1, 7, 8, 127, 128, 129, 255, 256, 257, 1_000))]
    for salt in (b"", b"12345678", b"0123456789abcdef"):
        expected = [hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest() for text in texts]
        assert blake2b(texts, salt).astype("<u8").tobytes() == b"".join(expected)
    assert len(blake2b([], b"")) == 0
