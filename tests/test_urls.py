import errno
import os

import pytest

from dawnlist.store.client import check_store_url
from dawnlist.urls import format_error, mask_passwords, refuse_password


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="set DAWNLIST_REDIS_PASSWORD instead") as error:
        refuse_password("redis://:s3cret@host:6379/0", "DAWNLIST_REDIS_PASSWORD")
    assert "s3cret" not in str(error.value)
    assert refuse_password("redis://host:6379/0", "X") == "redis://host:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s/cret@db/shop",
        "postgresql://me:s#cret@db/shop",
        "postgresql://db/shop?password=s3cret",
        "postgresql://db/shop?sslpassword=s3cret",
        "mysql://me@db/shop?passwd=s3cret",
        "mysql://me@db/shop?charset=utf8mb4&PWD=s3cret",
        "mysql://me@db/shop?pass=s3cret",
        "s3://KEY:SECRET@bucket/lake",
        "redis://:***@host/0?password=s3cret",
    ],
)
def test_however_it_is_written(url: str) -> None:
    with pytest.raises(ValueError, match="holds a password") as error:
        refuse_password(url, "X")
    assert "cret" not in str(error.value).lower().replace("secret_", "")


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:6379/0",
        "postgresql://me:@/shop",
        "postgresql://me@db:5432/shop",
        "postgresql://me@db/shop?passfile=/run/secret/pg",
        "https://shop/?next=a&bypasses=1&pass",
        "s3://bucket/a@b",
    ],
)
def test_a_url_without_one_passes(url: str) -> None:
    assert refuse_password(url, "X") == url


def test_masked_keeps_the_rest() -> None:
    assert (
        mask_passwords("postgresql://me:pw@db:5432/shop?x=1")
        == "postgresql://me:***@db:5432/shop?x=1"
    )
    assert mask_passwords("redis://u:p@ss@h:1") == "redis://u:***@h:1"
    assert mask_passwords("postgresql://h/x?password=pw&a=1") == "postgresql://h/x?password=***&a=1"
    assert mask_passwords("mysql://me@h/x?passwd=pw&a=1") == "mysql://me@h/x?passwd=***&a=1"
    assert (
        mask_passwords("can't reach postgresql://me:pw@db/shop!")
        == "can't reach postgresql://me:***@db/shop!"
    )


def test_a_masked_password_is_still_a_password() -> None:
    with pytest.raises(ValueError, match="holds a password"):
        refuse_password("redis://:***@host:6379/0", "X")


def test_a_password_in_the_value_of_another_parameter_is_masked() -> None:
    assert mask_passwords("?next=http://h/?mytoken2=abc&a=1") == "?next=http://h/?mytoken2=***&a=1"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "no room on the disk that holds the lake, the artifacts or temporary files: "
            "free some space, and run it again",
        ),
        (
            OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/home/a"),
            "no room on the disk of '/home/a': free some space, and run it again",
        ),
        (
            OSError(errno.ENOSPC, "no room in /tmp: set TMPDIR"),
            "[Errno 28] no room in /tmp: set TMPDIR",
        ),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "[Errno 5] Input/output error"),
        (ValueError("x"), "x"),
    ],
    ids=["disk", "quota", "explained", "another error", "no error of the system"],
)
def test_a_full_disk_is_explained(error: Exception, message: str) -> None:
    assert format_error(error) == message


def test_an_error_is_shown_on_one_harmless_line() -> None:
    assert format_error(OSError("\x1b[91mno\nredis://:pw@h\x07")) == "no redis://:***@h?"


@pytest.mark.parametrize(
    "name", ["token", "access_token", "ACCESS_TOKEN", "mytoken2", "secret", "pass"]
)
def test_a_token_in_the_query_of_a_logged_url_is_masked(name: str) -> None:
    line = f"GET http://h/v1/recommendations/ann?k=5&{name}=abc.def&a=1 HTTP/1.1"
    assert mask_passwords(line) == line.replace("abc.def", "***")
    assert "abc.def" not in format_error(ValueError(f"no answer from http://h/?{name}=abc.def"))


@pytest.mark.parametrize("name", ["tokens_of", "tok", "passing", "key"])
def test_what_is_no_secret_by_its_name_stays(name: str) -> None:
    line = f"http://h/?{name}=abc"
    expected = "http://h/?tokens_of=***" if name == "tokens_of" else line
    assert mask_passwords(line) == expected


def test_a_store_s_url_is_masked_in_every_message() -> None:
    for url in (
        "http://me:s3cret@h:6379/0",
        "amqp://:s3cret@h",
        "redis://h:6379/0?password=s3cret",
        "redis+cluster://me:s3cret@h",
        "unix:///run/valkey.sock?password=s3cret",
    ):
        with pytest.raises(ValueError) as error:
            check_store_url(url)
        assert "s3cret" not in str(error.value)
