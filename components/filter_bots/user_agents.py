"""Classify user agents with the patterns and tags of crawler-user-agents.

Arrow's RE2 searches many patterns at once, in one regular expression. Its time is linear in the
length of a user agent, whoever wrote it, and about an eightieth of what the library's own
`is_crawler` takes.
"""

import crawleruseragents
import pyarrow as pa
import pyarrow.compute as pc

CRAWLER_RULE, PREVIEW_RULE = "declared_crawlers", "previews_and_monitors"
PREVIEW_TAGS = {"social-preview", "monitoring"}
"""PREVIEW_RULE finds the library's entries with one of these tags, CRAWLER_RULE the others."""
_PATTERNS_PER_REGEX = 200
"""With many more patterns in one expression RE2's automaton outgrows its memory and gets slow."""


def classify_user_agents(agents: pa.ChunkedArray, allowed: list[str]) -> pa.ChunkedArray:
    """Return for each agent the rule that finds it: CRAWLER_RULE, PREVIEW_RULE or NULL.

    No rule finds an agent that contains one of the texts in `allowed`.
    """
    is_preview = _match_patterns(agents, _PREVIEW_PATTERNS)
    is_crawler = _match_patterns(agents, _CRAWLER_PATTERNS)
    is_allowed = _any_true([pc.match_substring(agents, text) for text in allowed], agents)
    no_rule = pa.scalar(None, pa.string())
    rules = pc.if_else(is_crawler, CRAWLER_RULE, no_rule)
    rules = pc.if_else(is_preview, PREVIEW_RULE, rules)
    return pc.if_else(is_allowed, no_rule, rules)


def _match_patterns(agents: pa.ChunkedArray, patterns: list[str]) -> pa.ChunkedArray:
    return _any_true([pc.match_substring_regex(agents, pattern) for pattern in patterns], agents)


def _any_true(conditions: list[pa.ChunkedArray], agents: pa.ChunkedArray) -> pa.ChunkedArray:
    """Combine conditions with "or". Without conditions the result is False for every agent."""
    result = pc.equal(agents, None).fill_null(False)
    for condition in conditions:
        result = pc.or_(result, condition)
    return result


def _join_patterns(previews: bool) -> list[str]:
    """Join the patterns of previews, or of crawlers, to a few regular expressions."""
    patterns = []
    for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        is_preview = not PREVIEW_TAGS.isdisjoint(entry["tags"])
        if is_preview == previews:
            patterns.append(entry["pattern"])
    starts = range(0, len(patterns), _PATTERNS_PER_REGEX)
    return ["|".join(patterns[start : start + _PATTERNS_PER_REGEX]) for start in starts]


_PREVIEW_PATTERNS = _join_patterns(True)
_CRAWLER_PATTERNS = _join_patterns(False)
