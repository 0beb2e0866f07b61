"""Who may ask: anybody, or who shows an API key or a signed token (JWT). The secrets come from the environment.

DAWNLIST_API_KEY        one key, or several separated by commas while one takes another's place; header x-api-key
DAWNLIST_JWT_KEY        a public key in PEM (RSA, EC, Ed25519) or a shared secret; header authorization: Bearer
DAWNLIST_JWT_KEY_FILE   a file with the same
DAWNLIST_JWT_AUDIENCE   the `aud` that a token must have; unset: a token with any or none
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dawnlist.urls import API_KEY, JWT_KEY

JWT_KEY_FILE: Final = "DAWNLIST_JWT_KEY_FILE"
_JWT_KEY_DESCRIPTION: Final = f"the key of tokens ({JWT_KEY} or {JWT_KEY_FILE})"
JWT_AUDIENCE: Final = "DAWNLIST_JWT_AUDIENCE"
MAX_CACHED_TOKENS: Final = 1_000  # tokens whose signature need not be checked again
MIN_SECRET_BYTES: Final = 32  # bytes, as RFC 7518 demands of HS256

ALGORITHMS: Final[Mapping[type[Any], list[str]]] = {
    rsa.RSAPublicKey: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    ec.EllipticCurvePublicKey: ["ES256", "ES384", "ES512"],
    ed25519.Ed25519PublicKey: ["EdDSA"],
}


class UnauthenticatedError(Exception):
    """Nobody is named, or not in a way that is believed: 401, UNAUTHENTICATED."""


class ForbiddenError(Exception):
    """Somebody is named who may not ask here: 403, PERMISSION_DENIED."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Knows the keys; with none at all everybody may ask."""

    api_keys: tuple[bytes, ...] = ()
    """Their SHA-256, so that comparing takes the same time whatever is shown."""
    jwt_key: Any = None
    algorithms: tuple[str, ...] = ()
    audience: str | None = None
    _believed: dict[bytes, float] = field(default_factory=dict)
    """Token -> when it expires."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Authenticator":
        """ValueError for a key that can't be used."""
        keys = [key.strip() for key in environment.get(API_KEY, "").split(",")]
        text = _read_jwt_key(environment)
        key, algorithms = _parse_jwt_key(text) if text else (None, ())
        hashed = tuple(hashlib.sha256(key.encode()).digest() for key in keys if key)
        return cls(hashed, key, tuple(algorithms), environment.get(JWT_AUDIENCE) or None)

    @property
    def open(self) -> bool:
        """Whether everybody may ask."""
        return not self.api_keys and self.jwt_key is None

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """UnknownError or ForbiddenError unless one of the headers x-api-key and authorization opens."""
        if self.open:
            return
        shown = headers.get(b"x-api-key")
        if shown is not None and self.api_keys:
            digest = hashlib.sha256(shown).digest()
            if (
                sum(hmac.compare_digest(digest, key) for key in self.api_keys) == 0
            ):  # any() would stop at the first
                raise UnauthenticatedError("this API key is not known")
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or self.jwt_key is None:
            ways = ["x-api-key"] * bool(self.api_keys) + ["authorization: Bearer"] * (
                self.jwt_key is not None
            )
            raise UnauthenticatedError(f"give a key, in the header {' or '.join(ways)}")
        self._check_token(token.strip())

    def _check_token(self, token: bytes) -> None:
        believed = self._believed
        if believed.get(token, 0.0) > time.time():
            return
        try:
            claims = jwt.decode(
                token,
                self.jwt_key,
                algorithms=list(self.algorithms),
                audience=self.audience,
                options={"require": ["exp"], "verify_aud": self.audience is not None},
            )
        except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
            raise ForbiddenError(f"the token is not for this service: {error}") from None
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("the token has expired") from None
        except jwt.PyJWTError:  # InvalidKeyError, too: an algorithm of another curve than the key's
            raise UnauthenticatedError("the token is not valid") from None
        if len(believed) >= MAX_CACHED_TOKENS:
            believed.clear()
        believed[token] = float(claims["exp"])


def _read_jwt_key(environment: Mapping[str, str]) -> str:
    path = environment.get(JWT_KEY_FILE)
    if not path:
        return environment.get(JWT_KEY, "")
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{JWT_KEY_FILE} can't be read ({type(error).__name__}): give a file with a key"
        ) from None
    if not text:  # a secret that is not there yet must not open the door
        raise ValueError(f"{JWT_KEY_FILE} names an empty file: give a file with a key")
    return text


def _parse_jwt_key(text: str) -> tuple[Any, list[str]]:
    """The key, and only the algorithms that go with it: a public key must never do as a shared secret."""
    if "-----BEGIN" not in text:
        if len(text.encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"{_JWT_KEY_DESCRIPTION} is shorter than {MIN_SECRET_BYTES} bytes: give a longer secret"
            )
        return text, ["HS256", "HS384", "HS512"]
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        raise ValueError(
            f"{_JWT_KEY_DESCRIPTION} is no public key in PEM: give one, or a shared secret"
        ) from None
    for kind, algorithms in ALGORITHMS.items():
        if isinstance(key, kind):
            return key, algorithms
    raise ValueError(f"the key of tokens is a {type(key).__name__}: give an RSA, EC or Ed25519 one")
