"""Channels to people: mail servers and chats, given by apprise's URLs in DAWNLIST_NOTIFY_URLS.

apprise reads the URLs and sends messages to chats. Mails are built and sent here, because apprise
can't add a plain text of our own to the HTML, and does not say why sending failed.
"""

import hashlib
import logging
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
from dawnlist.secret_values import read_secret
from dawnlist.urls import NOTIFY_URLS, format_error

SEND_TIMEOUT_SECONDS: Final = 30.0
"""The longest time that a server may take to accept a message."""
MAIL_ANSWER_SECONDS: Final = 15.0
"""The longest time that a mail server may take for one answer."""
_MENTION: Final = re.compile(r"([<@])(?=\S)")
_ZERO_WIDTH_SPACE: Final = "\u200b"


class Channel(Protocol):
    """A way to send messages: one of the configured URLs."""

    @property
    def name(self) -> str:
        """The channel's name for people, without secrets and without an address."""

    @property
    def key(self) -> str:
        """Twelve hex digits derived from the URL without its secrets."""

    def send(self, message: Message) -> None:
        """Send a message. This may hang; see `run_with_timeout`.

        Raises:
            OSError: the message was not accepted. The text is one line without secrets.
        """


@dataclass(frozen=True)
class MailChannel:
    """Sends mails to people's addresses, through a mail server."""

    name: str
    """See Channel."""
    key: str
    """See Channel."""
    plugin: Any = field(repr=False)
    """apprise's NotifyEmail, which has read the URL and knows the servers of mail providers."""

    def send(self, message: Message) -> None:
        """Send one mail to all addresses; see Channel.

        If the server refuses some of the addresses, this is only logged.
        """
        plugin = self.plugin
        display_name, from_address = plugin.from_addr
        sender = formataddr((display_name or "Dawnlist", from_address))
        targets = [formataddr((name or "", address)) for name, address in plugin.targets]
        mail = build_mime_message(message, sender, targets, _collect_mail_headers(plugin))
        recipients = [address for _, address in plugin.targets]
        recipients += [*plugin.cc, *plugin.bcc]
        try:
            with self._connect() as server:
                refused = server.send_message(mail, from_address, recipients)
        # An SMTPException is an OSError, but its documentation does not promise that.
        except (OSError, smtplib.SMTPException) as error:
            raise ConnectionError(_describe_mail_error(error)) from None
        if refused:
            logging.getLogger("dawnlist").warning(
                "%s refused %d of %d addresses", self.name, len(refused), len(targets)
            )

    def _connect(self) -> smtplib.SMTP:
        """Connect, encrypt and log in, as the URL says."""
        plugin = self.plugin
        context = ssl.create_default_context()
        if not plugin.verify_certificate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
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
    """Sends messages in their short form to a chat or a web hook, through apprise."""

    name: str
    """See Channel."""
    key: str
    """See Channel."""
    plugin: Any = field(repr=False)
    """apprise's plugin for the URL."""

    def send(self, message: Message) -> None:
        """See Channel."""
        import apprise

        group = apprise.Apprise(asset=self.plugin.asset)
        group.add(self.plugin)
        # A mention in an error's text must not call all members of a chat.
        body = _MENTION.sub(rf"\1{_ZERO_WIDTH_SPACE}", message.short)
        with apprise.LogCapture(level=logging.WARNING) as log:  # type: ignore[no-untyped-call]
            accepted = group.notify(
                body=body, title=message.subject, body_format=apprise.NotifyFormat.TEXT
            )
            log_lines = log.getvalue().strip().splitlines()
        if not accepted:
            if not log_lines:
                raise ConnectionError("no reason was given")
            raise ConnectionError(format_error(anonymise_text(log_lines[-1])))


def parse_channels(urls: str | None = None) -> tuple[list[Channel], list[str]]:
    """Parse the channels' URLs.

    Args:
        urls: URLs with blanks between them. None: DAWNLIST_NOTIFY_URLS.

    Returns:
        The channels, and an error message for each URL that can't be read.
    """
    if urls is None:
        urls = read_secret(NOTIFY_URLS) or ""
    if not urls.split():
        return [], []
    import apprise

    _silence_apprise()
    asset = _build_asset()
    channels: list[Channel] = []
    errors = []
    urls_without_secrets: list[str] = []
    for number, url in enumerate(urls.split(), 1):
        plugin: Any = apprise.Apprise.instantiate(url, asset=asset)
        if plugin is None:
            errors.append(_describe_unreadable_url(number, url))
            continue
        public_url = plugin.url(privacy=True)
        # Two web hooks may differ only in their secrets, so the key counts equal URLs.
        channels.append(
            _build_channel(plugin, f"{public_url} {urls_without_secrets.count(public_url)}")
        )
        urls_without_secrets.append(public_url)
    return channels, errors


def _silence_apprise() -> None:
    """Keep apprise's log, which contains URLs, out of ours.

    ChatChannel reads from it why sending failed.
    """
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").addHandler(logging.NullHandler())


def _build_asset() -> Any:
    """Build apprise's options."""
    import apprise

    return apprise.AppriseAsset(
        app_id="Dawnlist",
        app_desc="Dawnlist",
        async_mode=False,
        # A pod's root folder is read-only, so apprise must not write files.
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )


def run_with_timeout(seconds: float, work: Callable[[], None]) -> None:
    """Call `work` in a thread, and raise what it raises.

    A socket's timeout is not enough: a server that sends a byte now and then never reaches it.
    After a timeout the work goes on in its thread, which ends with the process.

    Raises:
        TimeoutError: the work takes longer than this many seconds.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="dawnlist-telling", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if errors:
        raise errors[0]


def _collect_mail_headers(plugin: Any) -> dict[str, str]:
    headers = {}
    for name, addresses in (("Cc", plugin.cc), ("Reply-To", plugin.reply_to)):
        joined = ", ".join(sorted(addresses))
        if joined:
            headers[name] = joined
    headers.update(plugin.headers)
    return headers


def _describe_unreadable_url(number: int, url: str) -> str:
    """Say which URL can't be read, without its secrets: only its scheme is shown."""
    scheme = "no scheme"
    if "://" in url:
        scheme = url.partition("://")[0][:20]
    return (
        f"URL {number} of {NOTIFY_URLS} ({scheme}) can't be read: "
        "see docs/NOTIFY.md, and encode what a password has of / @ : # ?"
    )


def _build_channel(plugin: Any, identity: str) -> Channel:
    from apprise.plugins.email import NotifyEmail

    key = hashlib.sha256(identity.encode()).hexdigest()[:12]
    if isinstance(plugin, NotifyEmail) and plugin.pgp_mode == "no":
        return MailChannel(f"mail by {plugin.smtp_host}:{plugin.port}", key, plugin)
    return ChatChannel(str(plugin.service_name), key, plugin)


def _describe_mail_error(error: Exception) -> str:
    """Describe a mail server's refusal in one line.

    smtplib's own texts quote whole answers, as bytes and for each address.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, answer = next(iter(error.recipients.values()))
        reason = _format_answer(answer)
        return f"every address was refused: {code} {reason}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_format_answer(error.smtp_error)}"
    return f"{type(error).__name__}: {_format_answer(str(error))}"


def _format_answer(answer: bytes | str) -> str:
    """Return a server's answer on one line, without secrets and personal data."""
    if isinstance(answer, bytes):
        answer = answer.decode(errors="replace")
    return format_error(anonymise_text(answer))
