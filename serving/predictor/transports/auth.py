"""Authenticate callers by an API key or a signed token (JWT), if the environment has keys.

DAWNLIST_API_KEY        one key, or several separated by commas while one replaces another; callers
                        send it in the header x-api-key
DAWNLIST_JWT_KEY        a public key in PEM (RSA, EC, Ed25519) or a shared secret; callers send a
                        token in the header authorization: Bearer
DAWNLIST_JWT_KEY_FILE   a file with the same
DAWNLIST_JWT_AUDIENCE   the `aud` that a token must have; if unset, a token may have any or none

Each may also be a file of that name in the folder DAWNLIST_SECRETS_FOLDER. A variable that is unset or
empty counts as absent, since a pod's optional secret may be missing. One that is set but holds only
blanks or commas is refused at start, and so is an empty file: it would leave the door open.
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

from dawnlist.serving.api_keys import read_key_digests, read_stripped
from dawnlist.urls import API_KEY, JWT_KEY

JWT_KEY_FILE: Final = "DAWNLIST_JWT_KEY_FILE"
JWT_AUDIENCE: Final = "DAWNLIST_JWT_AUDIENCE"
_JWT_KEY_DESCRIPTION: Final = f"the key of tokens ({JWT_KEY} or {JWT_KEY_FILE})"
MAX_CACHED_TOKENS: Final = 1_000
"""Tokens whose signature is not checked again."""
MIN_SECRET_BYTES: Final = 32
"""Bytes of a shared secret, as RFC 7518 requires for HS256."""

SECRET_ALGORITHMS: Final = ["HS256", "HS384", "HS512"]
ALGORITHMS: Final[Mapping[type[Any], list[str]]] = {
    rsa.RSAPublicKey: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    ec.EllipticCurvePublicKey: ["ES256", "ES384", "ES512"],
    ed25519.Ed25519PublicKey: ["EdDSA"],
}
"""The algorithms for each type of public key."""


class UnauthenticatedError(Exception):
    """The caller has no valid key: HTTP status 401, gRPC's UNAUTHENTICATED."""


class ForbiddenError(Exception):
    """The caller is known, but may not ask here: HTTP status 403, gRPC's PERMISSION_DENIED."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Checks callers' keys; without any configured key everybody may ask."""

    api_keys: tuple[bytes, ...] = ()
    """The API keys' SHA-256 digests: comparing them takes the same time for every key."""
    jwt_key: Any = None
    """The key that verifies tokens; None if tokens are not accepted."""
    algorithms: tuple[str, ...] = ()
    """The algorithms that tokens may be signed with."""
    audience: str | None = None
    """The `aud` that tokens must have; None accepts any."""
    _token_expiries: dict[bytes, float] = field(default_factory=dict)
    """Tokens whose signature was valid, and when they expire, in seconds since 1970."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Authenticator":
        """Read the keys from environment variables.

        Raises:
            ValueError: a key can't be used.
        """
        digests = read_key_digests(environment, API_KEY)
        audience = read_stripped(environment, JWT_AUDIENCE)
        jwt_key_text = _read_jwt_key(environment)
        if jwt_key_text is None:
            if audience is not None:
                raise ValueError(
                    f"{JWT_AUDIENCE} is set, but there is no key to check tokens with: "
                    f"set {JWT_KEY} or {JWT_KEY_FILE}, or unset {JWT_AUDIENCE}"
                )
            return cls(digests)
        jwt_key, algorithms = _parse_jwt_key(jwt_key_text)
        return cls(digests, jwt_key, tuple(algorithms), audience)

    @property
    def is_open(self) -> bool:
        """Whether everybody may ask."""
        return not self.api_keys and self.jwt_key is None

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Check a request's headers x-api-key and authorization.

        Raises:
            UnauthenticatedError: there is no valid key or token.
            ForbiddenError: the token is for another service.
        """
        if self.is_open:
            return
        api_key = headers.get(b"x-api-key")
        if api_key is not None and self.api_keys:
            self._check_api_key(api_key)
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or self.jwt_key is None:
            raise UnauthenticatedError(f"give a key, in the header {self._describe_headers()}")
        self._check_token(token.strip())

    def _describe_headers(self) -> str:
        """Return the headers that may hold a key."""
        headers = []
        if self.api_keys:
            headers.append("x-api-key")
        if self.jwt_key is not None:
            headers.append("authorization: Bearer")
        return " or ".join(headers)

    def _check_api_key(self, api_key: bytes) -> None:
        """Raise UnauthenticatedError unless the key is one of ours."""
        digest = hashlib.sha256(api_key.strip()).digest()
        # Every key is compared: any() would stop at the first match, and its time would show which.
        matches = sum(hmac.compare_digest(digest, known_digest) for known_digest in self.api_keys)
        if matches == 0:
            raise UnauthenticatedError("this API key is not known")

    def _check_token(self, token: bytes) -> None:
        """Raise an error unless the token is valid, which is remembered until it expires."""
        expiries = self._token_expiries
        if expiries.get(token, 0.0) > time.time():
            return
        try:
            claims = jwt.decode(
                token,
                self.jwt_key,
                algorithms=list(self.algorithms),
                audience=self.audience,
                options={"require": ["exp"], "verify_aud": self.audience is not None},
            )
            expiry = float(claims["exp"])
        except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
            raise ForbiddenError(f"the token is not for this service: {error}") from None
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("the token has expired") from None
        except Exception:
            # PyJWT also raises errors that are not its own, such as RecursionError for a token
            # that is nested deeply and OverflowError for a huge time.
            raise UnauthenticatedError("the token is not valid") from None
        if len(expiries) >= MAX_CACHED_TOKENS:
            expiries.clear()
        expiries[token] = expiry


def _read_jwt_key(environment: Mapping[str, str]) -> str | None:
    """Return the text of the key for tokens; None if there is none."""
    path = read_stripped(environment, JWT_KEY_FILE)
    if path is None:
        return read_stripped(environment, JWT_KEY)
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{JWT_KEY_FILE} can't be read ({type(error).__name__}): give a file with a key"
        ) from None
    if not text:  # while a secret is not mounted yet, callers without a key must be refused
        raise ValueError(f"{JWT_KEY_FILE} names an empty file: give a file with a key")
    return text


def _parse_jwt_key(text: str) -> tuple[Any, list[str]]:
    """Return the key and its algorithms: a public key must never be used as a shared secret."""
    if "-----BEGIN" not in text:
        if len(text.encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"{_JWT_KEY_DESCRIPTION} is shorter than {MIN_SECRET_BYTES} bytes: "
                "give a longer secret"
            )
        return text, SECRET_ALGORITHMS
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        raise ValueError(
            f"{_JWT_KEY_DESCRIPTION} is no public key in PEM: give one, or a shared secret"
        ) from None
    for key_type, algorithms in ALGORITHMS.items():
        if isinstance(key, key_type):
            return key, algorithms
    raise ValueError(f"the key of tokens is a {type(key).__name__}: give an RSA, EC or Ed25519 one")
