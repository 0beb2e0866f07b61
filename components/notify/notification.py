"""Send the message about a run, once for each run, however it ended, without failing it."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from dawnlist.components.notify import outbox, rerun
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.messages.channels import SEND_TIMEOUT_SECONDS, parse_channels, run_with_timeout
from dawnlist.messages.masking import anonymise_text
from dawnlist.messages.message import Message
from dawnlist.records import registry
from dawnlist.settings import NotifySettings, Settings
from dawnlist.urls import NOTIFY_URLS, format_error, mask_passwords


def notify_recipients(lake: Lake, facts: Facts, parameters: Mapping[str, Any]) -> list[str]:
    """Send the message about a run to all channels in DAWNLIST_NOTIFY_URLS.

    The settings say whether a run gets a message. A second call sends no second message. A server
    that does not accept the message fails nothing: it is tried for a limited time, and again by the
    next run.

    Args:
        parameters: The parameters that the run was started with.

    Returns:
        What happened, in lines for the log.
    """
    settings, log_lines = _load_notify_settings(parameters.get("shop_settings", ""))
    channels, problems = parse_channels()
    log_lines += problems
    if not channels:
        reason = f"{NOTIFY_URLS} lists no recipients"
        return [*log_lines, f"no message is sent about this run: {reason}"]
    location = None
    if _wants_message(settings, facts):
        location = _post_message(lake, facts, parameters, settings)
    seconds = settings.try_seconds
    return log_lines + outbox.deliver_messages(lake, facts.run, location, channels, seconds)


def _wants_message(settings: NotifySettings, facts: Facts) -> bool:
    if settings.when == "failure":
        return determine_outcome(facts).tone == "bad"
    return settings.when == "always"


def _post_message(
    lake: Lake, facts: Facts, parameters: Mapping[str, Any], settings: NotifySettings
) -> outbox.MessageLocation | None:
    """Put the message about a run into the outbox; None when all channels have it already."""
    from dawnlist.components.notify.message import (  # brings matplotlib
        MessageContext,
        build_report_links,
        build_run_message,
    )

    links = build_report_links(settings, facts.as_of, facts.run)
    context = MessageContext(parameters, registry.read_champion(lake), links)
    message = build_run_message(facts, context)
    day = format_stamp(facts.as_of)
    location = outbox.MessageLocation(day, facts.run, message.key.rpartition("/")[2])
    is_new = outbox.post_message(lake, location, message)
    return location if is_new else None


@contextmanager
def alarm_on_error(parameters: Mapping[str, Any], run: str) -> Iterator[None]:
    """Send an alarm when the block fails, e.g. because the lake can't be reached, and re-raise.

    The block is the one that reports all other errors. Each call sends an alarm again, because
    without the lake there is no record of those that were sent.
    """
    try:
        yield
    except Exception as error:
        settings, _ = _load_notify_settings(parameters["shop_settings"])
        if settings.when != "never":
            _send_alarm(_build_alarm(error, parameters, run))
        raise


def _send_alarm(alarm: Message) -> None:
    """Send an alarm to each channel once; print the errors, which must not hide the first one."""
    channels, _ = parse_channels()
    for channel in channels:
        try:
            run_with_timeout(SEND_TIMEOUT_SECONDS, partial(channel.send, alarm))
        except Exception as error:
            print(f"{channel.name} took no message: {format_error(error)}")


def _build_alarm(error: Exception, parameters: Mapping[str, Any], run: str) -> Message:
    """Build a message from what the step knows without the lake."""
    shop, as_of = parameters["shop"], parameters["as_of"]
    cause = f"{type(error).__name__}: {anonymise_text(format_error(error))}"
    summary = (
        f"The run {run} of shop {shop}, as of {as_of}, has ended, but no report could be made: "
        f"{cause}. The results of its steps are not known here; see its log and Kubeflow."
    )
    parameter_lines = []
    for name, value in rerun.list_parameters(parameters).items():
        if value != "":
            text = mask_passwords(rerun.format_parameter(value))
            parameter_lines.append(f"{name:<22}{text}")
    paragraphs = [
        summary,
        f"Run it again:\n{mask_passwords(rerun.build_rerun_command(parameters))}",
        "Parameters:\n" + "\n".join(parameter_lines),
        anonymise_text("".join(traceback.format_exception(error))),
    ]
    return Message(
        f"{shop}/{as_of}/{run}/alarm",
        datetime.now(UTC),
        f"[{shop}] NO REPORT: {cause}",
        "\n\n".join(paragraphs),
        summary,
    )


def _load_notify_settings(uri: str) -> tuple[NotifySettings, list[str]]:
    """Load the section `notify` of a shop's settings, with lines for the log.

    Settings that can't be read may be what broke the run. The defaults then apply, so that the
    message is sent.
    """
    try:
        return Settings.load(uri).notify, []
    except (ValueError, OSError) as error:
        return NotifySettings(), [f"the default notify settings apply: {format_error(error)}"]
