"""Measure how dense code is: tokens a line, conditional expressions, comprehensions, vague names.

python benchmarks/readability.py                  the four packages, without tests
python benchmarks/readability.py FOLDER ...       other folders, such as an installed library

Conditional expressions and comprehensions are counted for a thousand lines. VAGUE_NAMES are those that say nothing.
"""

import ast
import sys
import tokenize
from collections import Counter
from pathlib import Path
from typing import Final

FOLDERS: Final = ("dawnlist", "components", "pipelines", "serving")
VAGUE_NAMES: Final = {
    "found",
    "told",
    "said",
    "known",
    "shown",
    "one",
    "made",
    "kept",
    "asked",
    "given",
    "wanted",
    "left",
    "judged",
    "at",
    "rest",
    "part",
    "parts",
    "place",
    "where",
    "own",
    "mine",
    "both",
}
LAYOUT_TOKENS: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def count_tokens(path: Path) -> tuple[int, int]:
    """Count the tokens of a file, and the lines that have any."""
    token_count = 0
    code_lines: set[int] = set()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in LAYOUT_TOKENS:
                token_count += 1
                code_lines.update(range(token.start[0], token.end[0] + 1))
    return token_count, len(code_lines)


def count_nodes(tree: ast.AST) -> Counter[str]:
    """Count conditional expressions, comprehensions, stored names, and the vague ones among them."""
    counts: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            counts["conditional expressions"] += 1
        elif isinstance(node, COMPREHENSIONS):
            counts["comprehensions"] += 1
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            counts["names"] += 1
            counts["vague names"] += node.id in VAGUE_NAMES
    return counts


def main() -> None:
    """Print the figures of all Python files below the folders."""
    counts: Counter[str] = Counter()
    for folder in sys.argv[1:] or FOLDERS:
        for path in sorted(Path(folder).rglob("*.py")):
            tokens, code_lines = count_tokens(path)
            text = path.read_text()
            counts.update(tokens=tokens, code_lines=code_lines, lines=len(text.splitlines()))
            counts.update(count_nodes(ast.parse(text)))
    thousands = counts["lines"] / 1000
    print(f"lines                             {counts['lines']:>8,}")
    print(f"tokens a line of code             {counts['tokens'] / counts['code_lines']:>8.1f}")
    for name in ("conditional expressions", "comprehensions"):
        print(f"{name + ' per 1,000':<34}{counts[name] / thousands:>8.1f}")
    print(f"vague names of all stored names   {counts['vague names'] / counts['names']:>8.1%}")


if __name__ == "__main__":
    main()
