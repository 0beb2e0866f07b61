"""Ways to tell people, on real servers: what arrives, and what is said when it does not."""

import smtplib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dawnlist.messages.channels import Channel, parse_channels, run_with_timeout
from dawnlist.messages.message import Message
from tests.support.certificates import self_signed
from tests.support.mail import MailServer, deaf_server, hook, mail_server, parts
from tests.support.servers import free_port

# apprise looks for what Python 3.13 lacks
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PNG = b"\x89PNG\r\n\x1a\n picture"
MESSAGE = Message(
    "shop/run-1/abc", datetime(2026, 1, 31, 3, tzinfo=UTC), "[shop] Published\nBcc: x@evil.example",
    "in plain words, ä", "in short, <!channel> and @everyone", "<p><b>HTML</b><img src='cid:one'></p>", {"one": PNG},
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


def only(urls: str) -> Channel:
    [channel], wrong = parse_channels(urls)
    assert wrong == []
    return channel


def test_a_mail_has_plain_text_html_and_its_pictures_inside(server: MailServer) -> None:
    only(
        server.url + ",boss@shop.example&cc=team@shop.example&bcc=audit@shop.example&name=Dawn"
    ).send(MESSAGE)
    [mail] = server.mails
    assert parts(mail) == ("in plain words, ä\n", MESSAGE.html + "\n", {"one": PNG})
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
    ]  # fmt: skip
    assert {
        name: mail[name]
        for name in ("Subject", "From", "To", "Cc", "Bcc", "Date", "Auto-Submitted")
    } == {
        "Subject": "[shop] Published Bcc: x@evil.example",
        "From": "Dawn <dawnlist@shop.example>",
        "To": "oncall@shop.example, boss@shop.example",
        "Cc": "team@shop.example",
        "Bcc": None,
        "Date": "Sat, 31 Jan 2026 03:00:00 +0000",
        "Auto-Submitted": "auto-generated",
    }
    people = [f"{name}@shop.example" for name in ("oncall", "boss", "team", "audit")]
    assert server.envelopes == [("dawnlist@shop.example", people)]


def test_the_same_message_has_the_same_id(server: MailServer) -> None:
    for message in (
        MESSAGE,
        MESSAGE.prefix_subject("Late:"),
        Message("other", *list(vars(MESSAGE).values())[1:]),
    ):
        only(server.url).send(message)
    ids = [mail["Message-ID"] for mail in server.mails]
    assert ids[0] == ids[1] != ids[2]
    assert server.mails[1]["Subject"].startswith("Late: [shop]")


def test_a_message_is_the_same_after_its_way_through_json() -> None:
    assert Message.from_json(MESSAGE.to_json()) == MESSAGE


def test_login_and_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    with mail_server("dawn", "right-one", (certificate, key)) as server:
        tail = f"127.0.0.1:{server.port}?smtp=127.0.0.1&from=dawnlist@shop.example&to=oncall@shop.example"
        with pytest.raises(ConnectionError, match="certificate verify failed"):
            only(f"mailtos://dawn:right-one@{tail}").send(MESSAGE)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(ConnectionError, match=r"^535 ") as refused:
            only(f"mailtos://dawn:wrong-one@{tail}").send(MESSAGE)
        assert "wrong-one" not in str(refused.value) and "\n" not in str(refused.value)
        assert server.mails == []
        only(f"mailtos://dawn:right-one@{tail}").send(MESSAGE)
    assert len(server.mails) == 1


def test_refused_addresses(server: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    server.refused = {"oncall@shop.example"}
    with pytest.raises(
        ConnectionError, match=r"^every address was refused: 550 no such user here$"
    ):
        only(server.url).send(MESSAGE)
    only(server.url + ",boss@shop.example").send(MESSAGE)
    assert server.envelopes == [("dawnlist@shop.example", ["boss@shop.example"])]
    assert caplog.messages == [f"mail by 127.0.0.1:{server.port} refused 1 of 2 addresses"]


def test_a_mail_that_is_refused_says_the_servers_words(server: MailServer) -> None:
    server.answer = "554 no spam from 10.1.2.3 to oncall@shop.example"
    with pytest.raises(ConnectionError, match=r"^554 no spam from \*\*\* to \*\*\*$"):
        only(server.url).send(MESSAGE)


def test_a_server_that_is_down() -> None:
    with pytest.raises(ConnectionError, match="Connection refused"):
        only(MailServer(port=free_port()).url).send(MESSAGE)


def test_a_server_that_never_answers_is_given_up() -> None:
    with deaf_server() as port, pytest.raises(TimeoutError, match="no answer within 0 s"):
        run_with_timeout(0.3, lambda: only(MailServer(port=port).url).send(MESSAGE))


def test_a_web_hook_gets_the_short_text_and_calls_nobody() -> None:
    with hook() as web:
        only(f"json://user:hush-hush@127.0.0.1:{web.port}/x").send(MESSAGE)
        [posted] = web.posted
        assert posted["title"].startswith("[shop] Published")
        assert posted["message"] == "in short, <\u200b!channel> and @\u200beveryone"
        web.status = 500
        with pytest.raises(ConnectionError, match="500") as failed:
            only(f"json://user:hush-hush@127.0.0.1:{web.port}/x").send(MESSAGE)
    assert "hush" not in str(failed.value) and "\n" not in str(failed.value)


def test_urls_that_cannot_be_read_are_told_by_their_place(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    good = "mailto://user:pw-good@127.0.0.1:25?from=a@b.example"
    monkeypatch.setenv(
        "DAWNLIST_NOTIFY_URLS", f"slack://hush\n {good} not-a-url pigeon://hush:pw@loft"
    )
    found, wrong = parse_channels()
    assert [channel.name for channel in found] == ["mail by 127.0.0.1:25"]
    assert [line.partition(" can't")[0] for line in wrong] == [
        "URL 1 of DAWNLIST_NOTIFY_URLS (slack)",
        "URL 3 of DAWNLIST_NOTIFY_URLS (no scheme)",
        "URL 4 of DAWNLIST_NOTIFY_URLS (pigeon)",
    ]
    assert "hush" not in str(wrong) + repr(found) + "".join(capfd.readouterr())


def test_a_channel_keeps_its_key_when_its_password_changes() -> None:
    urls = [
        f"mailto://u:{word}@b.example?to={to}@b.example"
        for word, to in (("one", "x"), ("two", "x"), ("one", "y"))
    ]
    keys = [only(url).key for url in urls]
    assert keys[0] == keys[1] != keys[2]
    both, _ = parse_channels(
        f"{urls[0]} {urls[1]}"
    )  # may be two: nothing but a secret tells them apart
    assert both[0].key == keys[0] != both[1].key


def test_nobody_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAWNLIST_NOTIFY_URLS", raising=False)
    assert parse_channels() == ([], [])


def test_what_work_raises_within_its_time_is_raised() -> None:
    with pytest.raises(smtplib.SMTPException, match="words"):
        run_with_timeout(5, lambda: (_ for _ in ()).throw(smtplib.SMTPException("words")))
    done = threading.Event()
    run_with_timeout(5, done.set)
    assert done.is_set()
