"""The bounds of keys and tokens: what is remembered and for how long, and which of two keys counts."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dawnlist.serving.predictor.transports.auth import (
    MAX_CACHED_TOKENS,
    Authenticator,
    ForbiddenError,
    UnauthenticatedError,
)

SECRET = "s" * 32
WITH_TOKENS = {"DAWNLIST_JWT_KEY": SECRET}
WITH_BOTH = {"DAWNLIST_JWT_KEY": SECRET, "DAWNLIST_API_KEY": "a key"}


def sign(key: str = SECRET, algorithm: str = "HS256", **claims: Any) -> bytes:
    claims = {"exp": time.time() + 3_600, **claims}
    return jwt.encode(claims, key, algorithm).encode()


def bearer(token: bytes, scheme: bytes = b"Bearer ") -> dict[bytes, bytes]:
    return {b"authorization": scheme + token}


def public_key(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def test_a_remembered_token_opens_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second of its `exp` it is over, as RFC 7519 has it."""
    authenticator = Authenticator.from_environment(WITH_TOKENS)
    token = sign(exp=1_000)  # in 1970
    authenticator._token_expiries[token] = 1_000.0
    monkeypatch.setattr(time, "time", lambda: 999.999)
    authenticator.check(bearer(token))
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    with pytest.raises(UnauthenticatedError, match="the token has expired"):
        authenticator.check(bearer(token))


def test_a_token_is_remembered_with_its_expiry() -> None:
    authenticator = Authenticator.from_environment(WITH_TOKENS)
    expiry = int(time.time()) + 3_600
    token = sign(exp=expiry)
    authenticator.check(bearer(token))
    assert authenticator._token_expiries == {token: float(expiry)}
    stranger = Authenticator.from_environment({"DAWNLIST_JWT_KEY": "t" * 32})
    stranger._token_expiries[token] = float(expiry)
    stranger.check(bearer(token))  # the signature of what is remembered is not checked again


@pytest.mark.parametrize("token", [sign("t" * 32), sign(exp=1), b"a.b.c"])
def test_a_token_that_is_refused_is_not_remembered(token: bytes) -> None:
    authenticator = Authenticator.from_environment(WITH_TOKENS)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            authenticator.check(bearer(token))
    assert authenticator._token_expiries == {}


def test_a_thousand_tokens_are_remembered_and_then_all_are_forgotten() -> None:
    authenticator = Authenticator.from_environment(WITH_TOKENS)
    for number in range(MAX_CACHED_TOKENS):
        authenticator.check(bearer(sign(number=number)))
    assert len(authenticator._token_expiries) == MAX_CACHED_TOKENS == 1_000
    one_more = sign(number="one more")
    authenticator.check(bearer(one_more))
    assert list(authenticator._token_expiries) == [one_more]


@pytest.mark.parametrize("secret", ["s" * 32, "ü" * 16])
def test_a_secret_of_32_bytes_is_long_enough(secret: str) -> None:
    authenticator = Authenticator.from_environment({"DAWNLIST_JWT_KEY": secret})
    authenticator.check(bearer(sign(secret)))


@pytest.mark.parametrize("secret", ["s" * 31, "ü" * 15 + "s"])
def test_a_secret_of_31_bytes_is_too_short(secret: str) -> None:
    with pytest.raises(ValueError, match="is shorter than 32 bytes: give a longer secret"):
        Authenticator.from_environment({"DAWNLIST_JWT_KEY": secret})


def test_a_wrong_api_key_beside_a_valid_token_is_refused() -> None:
    authenticator = Authenticator.from_environment(WITH_BOTH)
    authenticator.check(bearer(sign()))
    authenticator.check({b"x-api-key": b"a key"})
    with pytest.raises(UnauthenticatedError, match="this API key is not known"):
        authenticator.check({b"x-api-key": b"another", **bearer(sign())})


def test_a_valid_api_key_beside_a_wrong_token_opens() -> None:
    authenticator = Authenticator.from_environment(WITH_BOTH)
    authenticator.check({b"x-api-key": b"a key", **bearer(b"a.b.c")})
    with pytest.raises(UnauthenticatedError, match="the token is not valid"):
        authenticator.check(bearer(b"a.b.c"))


def test_an_api_key_is_not_read_where_tokens_alone_are_taken() -> None:
    authenticator = Authenticator.from_environment(WITH_TOKENS)
    authenticator.check({b"x-api-key": b"any", **bearer(sign())})
    with pytest.raises(UnauthenticatedError, match="give a key, in the header authorization"):
        authenticator.check({b"x-api-key": b"any"})


@pytest.mark.parametrize(
    ("environment", "headers"),
    [
        ({"DAWNLIST_API_KEY": "a key"}, "x-api-key"),
        (WITH_TOKENS, "authorization: Bearer"),
        (WITH_BOTH, "x-api-key or authorization: Bearer"),
    ],
)
def test_who_gives_no_key_is_told_the_headers(environment: dict[str, str], headers: str) -> None:
    authenticator = Authenticator.from_environment(environment)
    assert not authenticator.is_open
    for given in ({}, {b"authorization": b"Basic YTpi"}, {b"authorization": b""}):
        with pytest.raises(UnauthenticatedError) as error:
            authenticator.check(given)
        assert str(error.value) == f"give a key, in the header {headers}"


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER   "])
def test_the_scheme_of_a_token_is_read_in_any_case(scheme: bytes) -> None:
    Authenticator.from_environment(WITH_TOKENS).check(bearer(sign() + b" ", scheme))


@pytest.mark.parametrize("scheme", [b"", b"Token ", b"Bearer: "])
def test_another_scheme_is_no_token(scheme: bytes) -> None:
    with pytest.raises(UnauthenticatedError, match="give a key"):
        Authenticator.from_environment(WITH_TOKENS).check(bearer(sign(), scheme))


def test_without_an_audience_a_token_may_have_any_or_none_but_needs_an_expiry() -> None:
    authenticator = Authenticator.from_environment(WITH_TOKENS)
    authenticator.check(bearer(sign(aud="anything")))
    authenticator.check(bearer(sign()))
    endless = jwt.encode({"aud": "dawnlist"}, SECRET, "HS256").encode()
    with pytest.raises(ForbiddenError, match="the token is not for this service"):
        authenticator.check(bearer(endless))


def test_an_audience_needs_only_a_key_of_tokens() -> None:
    environment = {**WITH_TOKENS, "DAWNLIST_JWT_AUDIENCE": "dawnlist"}
    authenticator = Authenticator.from_environment(environment)
    assert (authenticator.audience, authenticator.api_keys) == ("dawnlist", ())
    authenticator.check(bearer(sign(aud="dawnlist")))
    with pytest.raises(ForbiddenError):
        authenticator.check(bearer(sign()))


def test_a_public_key_of_another_kind_is_refused_by_its_name() -> None:
    key = public_key(dsa.generate_private_key(1024))
    with pytest.raises(ValueError, match=r"is a .*DSAPublicKey: give an RSA, EC or Ed25519 one"):
        Authenticator.from_environment({"DAWNLIST_JWT_KEY": key})


def test_the_first_and_the_last_of_several_api_keys_open() -> None:
    authenticator = Authenticator.from_environment({"DAWNLIST_API_KEY": "first, second,third"})
    for key in (b"first", b"second", b"third"):
        authenticator.check({b"x-api-key": key})
    assert len(authenticator.api_keys) == 3
    for key in (b"first, second,third", b"first,", b"FIRST", b""):
        with pytest.raises(UnauthenticatedError):
            authenticator.check({b"x-api-key": key})


def test_a_file_with_a_key_wins_over_the_variable(tmp_path: Any) -> None:
    (tmp_path / "key").write_text("f" * 32)
    environment = {**WITH_TOKENS, "DAWNLIST_JWT_KEY_FILE": str(tmp_path / "key")}
    authenticator = Authenticator.from_environment(environment)
    authenticator.check(bearer(sign("f" * 32)))
    with pytest.raises(UnauthenticatedError):
        authenticator.check(bearer(sign()))


def test_a_private_key_is_no_public_one() -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="is no public key in PEM"):
        Authenticator.from_environment({"DAWNLIST_JWT_KEY": pem})
