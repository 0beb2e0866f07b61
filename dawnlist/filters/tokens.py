"""Split a filter expression into tokens, in time that grows with its length alone."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from dawnlist.filters.expression import ExpressionError
from dawnlist.values import describe_value

MAX_CHARACTERS: Final = 1_000
"""Characters of an expression."""
TokenKind = Literal["text", "number", "name", "sign", "end"]

_TOKEN: Final = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])
      | (?P<name>[^\W\d][\w.]*|`[^`]+`)
      | (?P<sign><=|>=|!=|==|[=<>(),])""",
    re.VERBOSE | re.DOTALL,
)
_BLANKS: Final = re.compile(r"\s*")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an expression, and where it begins."""

    kind: TokenKind
    text: str
    """The text without quotes, the name without backticks, or the characters as written."""
    position: int
    """The number of characters before the token."""
    is_quoted: bool = False
    """Whether a name stands in backticks, so that it is no keyword."""


def split_expression(text: str) -> list[Token]:
    """Split an expression into tokens. The last token is of the kind "end".

    Raises:
        ExpressionError: the text is empty, too long, or has characters that begin no token.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"the filter has {len(text):,} characters: give at most {MAX_CHARACTERS:,}"
        )
    tokens = []
    position = _skip_blanks(text, 0)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(explain_position(text, position, "nothing here begins like this"))
        tokens.append(_build_token(match))
        position = _skip_blanks(text, match.end())
    if not tokens:
        raise ExpressionError("the filter is empty: write for example price < 20")
    tokens.append(Token("end", "", len(text)))
    return tokens


def explain_position(text: str, position: int, problem: str) -> str:
    """Return a line that says what is wrong at a place of an expression."""
    rest = text[position : position + 20]
    if not rest:
        return f"the filter {describe_value(text)} ends too early: {problem}"
    return f"the filter is wrong at character {position + 1}, {describe_value(rest)}: {problem}"


def _skip_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    assert match is not None  # it matches nothing, too
    return match.end()


def _build_token(match: re.Match[str]) -> Token:
    """Build the token of a match."""
    kind = match.lastgroup
    text = match.group()
    position = match.start()
    if kind == "text":
        return Token("text", _ESCAPE.sub(r"\1", text[1:-1]), position)
    if kind == "number":
        return Token("number", text, position)
    if kind == "sign":
        return Token("sign", text, position)
    if text.startswith("`"):
        return Token("name", text[1:-1], position, is_quoted=True)
    return Token("name", text, position)
