"""What to do about each rule that did not pass; docs/GATE.md says more."""

from collections.abc import Sequence
from typing import Final

from dawnlist.records.verdict import GateRule

ADVICE: Final = {
    "users": "The holdouts of four weeks together had too few users. Wait for more, or lower "
    "gate.min_users.",
    "incumbent": "Compare the trials and the configuration with the incumbent's. If there is not "
    "enough evidence, each comparable gate of the next days adds to it; a shop that never has "
    "enough needs a wider gate.margin.",
    "four_weeks": "Challengers have been a little worse day after day. Find what changed in the "
    "data or in the search, and roll back if the live model has lost.",
    "popularity": "Plain popularity serves people better. Look at the trials, and check whether "
    "last week was an event.",
    "lift": "The live model leads popularity by less than before. Look for a slow loss, or for a "
    "change of the shop.",
    "coverage": "The lists show far fewer items than those of the incumbent. The regularization or "
    "the share of popularity may be too large.",
    "segments": "One kind of user would lose. See the evaluation's segments.",
    "events": "Too few events came in. Check that tracking and fetch work.",
    "volume": "Part of the day's events is missing. See the fetch step, and run the day again.",
    "drift": "The mix of event types has changed. See source.events, and check whether tracking "
    "lost one.",
    "churn": "Nearly all lists would change. Check whether the catalogue's ids changed.",
    "dropped": "The bot filter dropped most events. See the drop report, and put a rule that drops "
    "people into shadow, or raise gate.max_dropped.",
    "items": "Nearly all items of the last day are new. Check whether the catalogue's ids changed. If "
    "they were meant to, import the earlier events with the new ids, and run the day again with --force.",
    "catalogue": "Nearly all items of the live lists are gone from the events. Check whether the "
    "catalogue's ids changed. If they were meant to, run the day again with --force.",
    "renewal": "The live configuration loses when it is fitted on today's rows. Find what changed in "
    "the events of the last days, or in the code.",
}


def list_advice(rules: Sequence[GateRule]) -> list[tuple[str, str]]:
    """Return the name of each rule that did not pass, and what to do about it."""
    return [(rule.name, ADVICE[rule.rule]) for rule in rules if not rule.passed]
