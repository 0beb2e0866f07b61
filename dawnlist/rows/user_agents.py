"""Classify user agents with two lists of patterns and with general words.

The lists are crawler-user-agents, with its tags, and CrawlerDetect in its port to Python. Arrow's
RE2 searches many patterns at once, in one regular expression. Its time is linear in the length of
a user agent, whoever wrote it, and a small part of what the libraries' own functions take.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.rows.agent_words import (
    CRAWLER_WORDS,
    PEOPLE_TEXTS,
    PREVIEW_WORDS,
)

CRAWLER_RULE, PREVIEW_RULE = "declared_crawlers", "previews_and_monitors"
PREVIEW_TAGS = {"social-preview", "monitoring"}
"""PREVIEW_RULE finds the entries of crawler-user-agents with one of these tags."""
_PATTERNS_PER_REGEX = 200
"""With many more patterns in one expression RE2's automaton outgrows its memory and gets slow."""
_ANY_CASE = "(?i)"
_GENERAL_PATTERN_START = r"[a-z0-9\-_]*("
"""CrawlerDetect's pattern of general words, which also finds them within words: Abbott, Botanist."""


@dataclass(frozen=True)
class AgentExpressions:
    """Regular expressions, each of many patterns, by what they find."""

    crawlers: list[str]
    """Of crawler-user-agents and the general words."""
    previews: list[str]
    """Of crawler-user-agents and the general words."""
    reduced_crawlers: list[str]
    """CrawlerDetect's, for what is left of an agent without a browser's usual words."""
    usual_words: str
    """What CrawlerDetect takes out of an agent first."""


def classify_user_agents(
    agents: pa.ChunkedArray, allowed: list[str], expressions: AgentExpressions | None = None
) -> pa.ChunkedArray:
    """Return for each agent the rule that finds it: CRAWLER_RULE, PREVIEW_RULE or NULL.

    No rule finds an agent that contains one of the texts in `allowed`. The expressions are those
    of all libraries and words unless others are given.
    """
    expressions = expressions or load_expressions()
    names = _remove_texts(agents, "|".join(PEOPLE_TEXTS))
    reduced_names = _remove_texts(names, expressions.usual_words)
    is_preview = _match_any(names, expressions.previews)
    is_crawler = pc.or_(
        _match_any(names, expressions.crawlers),
        _match_any(reduced_names, expressions.reduced_crawlers),
    )
    no_rule = pa.scalar(None, pa.string())
    rules = pc.if_else(is_crawler, CRAWLER_RULE, no_rule)
    rules = pc.if_else(is_preview, PREVIEW_RULE, rules)
    return pc.if_else(contain_any(agents, allowed), no_rule, rules)


def contain_any(agents: pa.ChunkedArray, texts: Iterable[str]) -> pa.ChunkedArray:
    """Say for each agent whether it contains one of the texts, in the same case."""
    return _any_true([pc.match_substring(agents, text) for text in texts], agents)


@cache
def load_expressions() -> AgentExpressions:
    """Join the patterns of the libraries and the general words to a few expressions."""
    import crawleruseragents
    from crawlerdetect.providers.crawlers import data as crawlerdetect_patterns
    from crawlerdetect.providers.exclusions import data as usual_words

    preview_patterns: list[str] = []
    crawler_patterns: list[str] = []
    for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        is_preview = not PREVIEW_TAGS.isdisjoint(entry["tags"])
        patterns = preview_patterns if is_preview else crawler_patterns
        patterns.append(entry["pattern"])
    name_patterns = []
    for pattern in crawlerdetect_patterns:
        if not pattern.startswith(_GENERAL_PATTERN_START):
            name_patterns.append(pattern)
    return AgentExpressions(
        crawlers=join_patterns(crawler_patterns) + join_patterns(CRAWLER_WORDS, _ANY_CASE),
        previews=join_patterns(preview_patterns) + join_patterns(PREVIEW_WORDS, _ANY_CASE),
        reduced_crawlers=join_patterns(name_patterns, _ANY_CASE),
        usual_words="|".join(usual_words),
    )


def join_patterns(patterns: Sequence[str], flags: str = "") -> list[str]:
    """Join patterns to a few regular expressions, without those that RE2 can't read."""
    regexes = []
    for start in range(0, len(patterns), _PATTERNS_PER_REGEX):
        group = patterns[start : start + _PATTERNS_PER_REGEX]
        if not _is_readable("|".join(group)):
            # CrawlerDetect has a pattern with a lookahead.
            group = [pattern for pattern in group if _is_readable(pattern)]
        regexes.append(flags + "|".join(group))
    return regexes


def _is_readable(regex: str) -> bool:
    try:
        pc.match_substring_regex(pa.array([""]), regex)
    except pa.ArrowInvalid:
        return False
    return True


def _remove_texts(agents: pa.ChunkedArray, regex: str) -> pa.ChunkedArray:
    return pc.replace_substring_regex(agents, _ANY_CASE + regex, "")


def _match_any(agents: pa.ChunkedArray, regexes: list[str]) -> pa.ChunkedArray:
    return _any_true([pc.match_substring_regex(agents, regex) for regex in regexes], agents)


def _any_true(conditions: list[pa.ChunkedArray], agents: pa.ChunkedArray) -> pa.ChunkedArray:
    """Combine conditions with "or". Without conditions the result is False for every agent."""
    result = pc.equal(agents, None).fill_null(False)
    for condition in conditions:
        result = pc.or_(result, condition)
    return result
