"""Telling people of a run: after each one, once, whatever happened to it and whatever the mail server says."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from dawnlist.components.notify import outbox, rerun
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.messages.channels import SEND_TIMEOUT_SECONDS, parse_channels, run_with_timeout
from dawnlist.messages.masking import anonymise_text
from dawnlist.messages.message import Message
from dawnlist.records import registry
from dawnlist.settings import NotifySettings, Settings
from dawnlist.urls import NOTIFY_URLS, format_error, mask_passwords


def notify_recipients(lake: Lake, facts: Facts, parameters: Mapping[str, Any]) -> list[str]:
    """Tell of a run to all whom DAWNLIST_NOTIFY_URLS says, as the settings want it; returns what came of it, in lines.

    `parameters`: what the run was given. A second call sends no second message. A server that does not take it fails
    nothing: it is tried for a bounded time, and then by the next run.
    """
    settings, said = _load_notify_settings(parameters.get("settings", ""))
    found, wrong = parse_channels()
    said += wrong
    if not found:
        return [*said, f"nobody is told of this run: {NOTIFY_URLS} names nobody"]
    mine = None
    if settings.when == "always" or (
        settings.when == "failure" and determine_outcome(facts).tone == "bad"
    ):
        mine = _post_message(lake, facts, parameters, settings)
    return said + outbox.deliver_messages(lake, facts.run, mine, found, settings.try_seconds)


def _post_message(
    lake: Lake, facts: Facts, parameters: Mapping[str, Any], settings: NotifySettings
) -> outbox.MessageLocation | None:
    """The message about a run, in the outbox; None when everybody has got it."""
    from dawnlist.components.notify.message import (  # brings matplotlib
        MessageContext,
        build_report_links,
        build_run_message,
    )

    around = MessageContext(
        parameters,
        registry.read_champion(lake),
        build_report_links(settings, facts.as_of, facts.run),
    )
    made = build_run_message(facts, around)
    where = outbox.MessageLocation(
        format_stamp(parse_as_of(facts.as_of)), facts.run, made.key.rpartition("/")[2]
    )
    return where if outbox.post_message(lake, where, made) else None


@contextmanager
def alarm_on_error(parameters: Mapping[str, Any], run: str) -> Iterator[None]:
    """Tell of an error of the block, which is there to tell of all others, such as a lake that is away; raise it on.

    Each call tells again: without a lake there is nothing to remember it by.
    """
    try:
        yield
    except Exception as error:
        alarm = _build_alarm(error, parameters, run)
        wanted = _load_notify_settings(parameters["settings"])[0].when != "never"
        for channel in parse_channels()[0] if wanted else []:
            try:
                run_with_timeout(SEND_TIMEOUT_SECONDS, partial(channel.send, alarm))
            except Exception as deaf:  # the first error is the one to see
                print(f"{channel.name} took no message: {format_error(deaf)}")
        raise


def _build_alarm(error: Exception, parameters: Mapping[str, Any], run: str) -> Message:
    """A message from what the step knows without the lake."""
    shop, as_of = parameters["namespace"], parameters["as_of"]
    what = f"{type(error).__name__}: {anonymise_text(format_error(error))}"
    given = "\n".join(
        f"{name:<22}{mask_passwords(str(value))}"
        for name, value in parameters.items()
        if value != ""
    )
    short = (
        f"The run {run} of shop {shop}, as of {as_of}, ended, and can't be reported: {what}. What came of its steps is "
        "not known; its log and Kubeflow say it."
    )
    trace = anonymise_text("".join(traceback.format_exception(error)))
    text = f"{short}\n\nRun it again:\n{mask_passwords(rerun.build_rerun_command(parameters))}\n\nParameters:\n{given}\n\n{trace}"
    return Message(
        f"{shop}/{as_of}/{run}/alarm", datetime.now(UTC), f"[{shop}] NO REPORT: {what}", text, short
    )


def _load_notify_settings(uri: str) -> tuple[NotifySettings, list[str]]:
    """The section of a shop's settings; the defaults when they can't be read, which may be what broke the run."""
    try:
        return Settings.load(uri).notify, []
    except (ValueError, OSError) as error:
        return NotifySettings(), [f"told by the default settings: {format_error(error)}"]
