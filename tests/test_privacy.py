"""What may not leave in a message: every kind of it, and what only looks like it."""

import time

import pytest

from dawnlist.messages.masking import MAX_ID, anonymise_json, anonymise_text

MASKED = {
    "redis://:pw@store:6379/0": "redis://:***@store:6379/0",
    "the password is s3cr3t-enough": "the password is ***",
    "{'password': 'x1', 'port': 5432}": "{'password': '***', 'port': 5432}",
    "Authorization: Bearer abc.def": "Authorization: Bearer ***",
    '{"Authorization": "Bearer abc.def"}': '{"Authorization": "Bearer ***"}',
    "headers={'authorization': 'Basic bWU6cHc=', 'a': 1}": "headers={'authorization': 'Basic ***', 'a': 1}",
    "password = 'two words', port 5432": "password = '***', port 5432",
    "Cookie: session=abc; csrf=def\nend": "Cookie: ***\nend",
    "?X-Amz-Signature=0af9&part=1": "?X-Amz-Signature=***&part=1",
    "with eyJhbGciOi.eyJzdWIi.c2ln given": "with *** given",
    "session-eyJhbGciOi.eyJzdWIi.c2ln": "session-***",
    "eyJ-eyJ-a.b and x-eyJ.eyJa.b": "*** and x-eyJ.***",
    'log: {\\"token\\": \\"two words\\", \\"a\\": 1}': 'log: {\\"token\\": \\"***\\", \\"a\\": 1}',
    f"user {'x' * MAX_ID}1 came": "user *** came",
    "by AKIAABCDEFGHIJKLMNOP": "by ***",
    "no such account: anna.k+shop@mail.example.com": "no such account: ***",
    "connect to 10.2.3.4:5432 failed": "connect to ***:5432 failed",
    "from 2001:db8::17 at 03:00:00": "from *** at 03:00:00",
    "Key (user_id)=(17850) is twice there": "Key (user_id)=(***) is twice there",
    '{"userId": "ab-3"}': '{"userId": ***}',
    "user 17850 and visitor_id=v-9": "user *** and visitor_id=***",
    "failed for user \"bob\"": "failed for user ***",
    "[SQL: SELECT 1]\n[parameters: (17850, 'x')]\nend": "[SQL: SELECT 1]\n[parameters: ***\nend",
    "DETAIL:  Failing row contains (3, bob).": "DETAIL:  Failing row contains ***",
}  # fmt: skip
KEPT = (
    "at 2026-01-31T03:00:00Z, line 12, pid 17, 0.1.0 and 1.2.3.4.5",
    "lists for 80 users, 3 of 83 users dropped, users: 12",
    'File "/app/components/clean/table_commits.py", line 12, in x',
    "tests/test_a.py::test_b, std::vector, a[1:2:3]",
    "127.0.0.1:6379 and ::1 refused",
    "the password is wrong",
    "beyJa.b and eyJ-a and eyJ.",
    f"user {'x' * (MAX_ID + 1)}1 came",
)


@pytest.mark.parametrize("text", MASKED, ids=range(len(MASKED)))
def test_secrets_and_personal_data_are_masked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_SOURCE_PASSWORD", "s3cr3t-enough")
    assert anonymise_text(text) == MASKED[text]


@pytest.mark.parametrize("text", KEPT, ids=range(len(KEPT)))
def test_what_only_looks_like_them_stays(text: str) -> None:
    assert anonymise_text(text) == text


def test_each_text_of_a_record_is_masked_and_nothing_else() -> None:
    record = {"user_id": 7, "error": {"message": "user 7", "frames": ["a@b.example", 3, None]}}
    assert anonymise_json(record) == {
        "user_id": 7,
        "error": {"message": "user ***", "frames": ["***", 3, None]},
    }


def test_a_password_of_several_words_is_masked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_SOURCE_PASSWORD", " red fox sat ")
    assert (
        anonymise_text("login of me by red fox sat failed, fox") == "login of me by *** failed, fox"
    )


def test_each_of_the_keys_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_API_KEY", "first-key, second-key")
    assert anonymise_text("neither second-key nor first-key") == "neither *** nor ***"


def test_each_of_the_notify_urls_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_NOTIFY_URLS", "slack://TOKEN-A/B/C\nmailto://host")
    assert anonymise_text("no slack://TOKEN-A/B/C here") == "no *** here"


def measure_masking(text: str) -> float:
    """Measure the processor time of masking a text, in seconds."""
    began = time.process_time()
    anonymise_text(text)
    return time.process_time() - began


@pytest.mark.parametrize(
    "word",
    ["a", "cookie", "1.", ":1", "user '", "user=", "a@", "token", "?token", "eyJ-", "://a:", "\\"],
)
@pytest.mark.parametrize(
    "before", ["", "?", "token=" + "\\" * 50_000 + '"'], ids=["", "?", "quote"]
)
def test_a_long_value_is_searched_in_time_that_grows_with_it_alone(word: str, before: str) -> None:
    """200 kB of one word in an error took four minutes: each of its letters might have begun an address.

    Four times the text takes four times the processor's time; a square of it would be sixteen.
    """
    short = measure_masking(before + word * (50_000 // len(word)))
    long = measure_masking(before + word * (200_000 // len(word)))
    assert long < 10 * max(short, 0.1)
