"""Read secret keys of callers from the environment."""

import hashlib
from collections.abc import Mapping

from dawnlist.secret_values import read_secret


def read_stripped(environment: Mapping[str, str], variable: str) -> str | None:
    """Return a secret without blanks around it; None if there is none.

    Raises:
        ValueError: it holds only blanks, or can't be read.
    """
    value = read_secret(variable, environment)
    if value is None:
        return None
    if not value.strip():
        raise ValueError(f"{variable} is set, but holds only blanks: give a value, or unset it")
    return value.strip()


def read_key_digests(environment: Mapping[str, str], variable: str) -> tuple[bytes, ...]:
    """Return the SHA-256 digests of the keys in a variable, which are separated by commas.

    Comparing digests takes the same time for every key.

    Raises:
        ValueError: the variable is set but holds no key, or a key that no header can hold.
    """
    value = read_stripped(environment, variable)
    if value is None:
        return ()
    keys = [key.strip() for key in value.split(",") if key.strip()]
    if not keys:
        raise ValueError(f"{variable} is set, but holds no key: give a key, or unset it")
    for key in keys:
        if not key.isprintable():
            raise ValueError(
                f"a key in {variable} has a line break or another control character, "
                "which no header can hold: separate keys by commas"
            )
    return tuple(hashlib.sha256(key.encode()).digest() for key in keys)
