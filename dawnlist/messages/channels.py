"""Ways to tell people: mail servers and chats, by the URLs of apprise in DAWNLIST_NOTIFY_URLS.

apprise reads the URLs and speaks to chats. A mail is made and sent here, since apprise has no plain text of our own
beside the HTML, and says of no failure what it was.
"""

import hashlib
import logging
import os
import re
import smtplib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formataddr
from typing import Any, Final, Protocol

from dawnlist.messages.masking import anonymise_text
from dawnlist.messages.message import Message, build_mime_message
from dawnlist.urls import NOTIFY_URLS, format_error

SEND_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a server has to take a message, at most."""
MAIL_ANSWER_SECONDS: Final = 15.0
"""That a mail server may take for one answer."""
_MENTION: Final = re.compile(r"([<@])(?=\S)")


class Channel(Protocol):
    """One of the configured URLs."""

    @property
    def name(self) -> str:
        """For people, without a secret or an address."""

    @property
    def key(self) -> str:
        """Twelve hex digits that its URL, without its secrets, has."""

    def send(self, message: Message) -> None:
        """Tell; OSError in one line, without secrets, when it was not taken. May hang: see `within`."""


@dataclass(frozen=True)
class MailChannel:
    """People with addresses, by a mail server."""

    name: str
    key: str
    plugin: Any = field(repr=False)
    """apprise's NotifyEmail, which has read the URL and knows the servers of mail providers."""

    def send(self, message: Message) -> None:
        """See Channel. One mail for all; an address that is refused while others are not is only logged."""
        plugin = self.plugin
        to = [formataddr((name or "", address)) for name, address in plugin.targets]
        sender = formataddr((plugin.from_addr[0] or "Dawnlist", plugin.from_addr[1]))
        copies = {
            "Cc": ", ".join(sorted(plugin.cc)),
            "Reply-To": ", ".join(sorted(plugin.reply_to)),
        }
        mail = build_mime_message(
            message, sender, to, {**{k: v for k, v in copies.items() if v}, **plugin.headers}
        )
        everybody = [*(address for _, address in plugin.targets), *plugin.cc, *plugin.bcc]
        try:
            with self._connected() as server:
                refused = server.send_message(mail, plugin.from_addr[1], everybody)
        except (
            OSError,
            smtplib.SMTPException,
        ) as error:  # an SMTPException is an OSError, but not by its contract
            raise ConnectionError(_describe_mail_error(error)) from None
        if refused:
            logging.getLogger("dawnlist").warning(
                "%s refused %d of %d addresses", self.name, len(refused), len(to)
            )

    def _connected(self) -> smtplib.SMTP:
        """Secured and logged in, as the URL says."""
        plugin, context = self.plugin, ssl.create_default_context()
        if not plugin.verify_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        host, port = plugin.smtp_host, plugin.port
        server: smtplib.SMTP
        if plugin.secure_mode == "ssl":
            server = smtplib.SMTP_SSL(host, port, timeout=MAIL_ANSWER_SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=MAIL_ANSWER_SECONDS)
        try:
            if plugin.secure_mode == "starttls":
                server.starttls(context=context)
            if plugin.user and plugin.password:
                server.login(plugin.user, plugin.password)
        except BaseException:
            server.close()
            raise
        return server


@dataclass(frozen=True)
class ChatChannel:
    """A chat or a web hook, by apprise; gets the few lines alone."""

    name: str
    key: str
    plugin: Any = field(repr=False)

    def send(self, message: Message) -> None:
        """See Channel."""
        import apprise

        group = apprise.Apprise(asset=self.plugin.asset)
        group.add(self.plugin)
        with apprise.LogCapture(level=logging.WARNING) as said:  # type: ignore[no-untyped-call]
            body = _MENTION.sub(
                "\\1\u200b", message.short
            )  # an error's message must not call everybody of a channel
            taken = group.notify(
                body=body, title=message.subject, body_format=apprise.NotifyFormat.TEXT
            )
            why = said.getvalue().strip().splitlines()
        if not taken:
            raise ConnectionError(
                format_error(anonymise_text(why[-1])) if why else "no reason was given"
            )


def parse_channels(urls: str | None = None) -> tuple[list[Channel], list[str]]:
    """Those of the environment, or of a text with URLs in it, and a line for each URL that can't be read."""
    given = (os.environ.get(NOTIFY_URLS, "") if urls is None else urls).split()
    if not given:
        return [], []
    import apprise

    # its log says what a URL holds; Chat takes from it what went wrong
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").addHandler(logging.NullHandler())
    # no files: a pod's root can't be written to
    memory = apprise.PersistentStoreMode.MEMORY
    asset = apprise.AppriseAsset(
        app_id="Dawnlist", app_desc="Dawnlist", async_mode=False, storage_mode=memory
    )
    read = [(url, apprise.Apprise.instantiate(url, asset=asset)) for url in given]
    wrong = [
        f"URL {place} of {NOTIFY_URLS} ({url.partition('://')[0][:20] if '://' in url else 'no scheme'}) can't be "
        "read: see docs/NOTIFY.md, and encode what a password has of / @ : # ?"
        for place, (url, plugin) in enumerate(read, 1)
        if plugin is None
    ]
    plugins: list[Any] = [plugin for _, plugin in read if plugin is not None]
    shown_urls = [plugin.url(privacy=True) for plugin in plugins]
    # the secrets of two hooks may be all that they differ in
    keys = [f"{url} {shown_urls[:place].count(url)}" for place, url in enumerate(shown_urls)]
    return [_build_channel(plugin, key) for plugin, key in zip(plugins, keys, strict=True)], wrong


def run_with_timeout(seconds: float, work: Callable[[], None]) -> None:
    """Call `work` and give it up after so long: TimeoutError; what it raises is raised here.

    A server that sends a byte now and then is under every timeout of a socket. Work that is given up goes on in a
    thread that ends with the process.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="dawnlist-telling", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if raised:
        raise raised[0]


def _build_channel(plugin: Any, place: str) -> Channel:
    from apprise.plugins.email import NotifyEmail

    key = hashlib.sha256(place.encode()).hexdigest()[:12]
    if isinstance(plugin, NotifyEmail) and plugin.pgp_mode == "no":
        return MailChannel(f"mail by {plugin.smtp_host}:{plugin.port}", key, plugin)
    return ChatChannel(str(plugin.service_name), key, plugin)


def _describe_mail_error(error: Exception) -> str:
    """A mail server's refusal in one line: smtplib quotes whole answers, as bytes and by address."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, answer = next(iter(error.recipients.values()))
        return f"every address was refused: {code} {format_error(anonymise_text(answer.decode(errors='replace')))}"
    if isinstance(error, smtplib.SMTPResponseException):
        words = (
            error.smtp_error.decode(errors="replace")
            if isinstance(error.smtp_error, bytes)
            else error.smtp_error
        )
        return f"{error.smtp_code} {format_error(anonymise_text(words))}"
    return f"{type(error).__name__}: {format_error(anonymise_text(str(error)))}"
