"""Find small faults that can be written into a module's source, one at a time, for mutants.py.

Each is a change of a few characters: the other side of a bound, a constant beside the right one, a
guard that never holds, a condition the other way round, `and` for `or`, a sign, a call that is left
out, a comparison in SQL. Messages, docstrings and types are left as they are.
"""

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

COMPARISONS: Final = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "in": "not in", "not in": "in", "is": "is not", "is not": "is",
}  # fmt: skip
"""What each comparison becomes: the same without its bound, or the opposite."""
COMPARISON_PATTERN: Final = re.compile(rb"<=|>=|==|!=|<|>|\bnot in\b|\bis not\b|\bin\b|\bis\b")
OPERATORS: Final = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "&": "|", "|": "&"}
OPERATOR_PATTERN: Final = re.compile(rb"//|\*\*|[-+*/&|]")
FUNCTIONS: Final = {"max": "min", "min": "max", "any": "all", "all": "any", "abs": ""}
SQL_MARK: Final = re.compile(rb"\bSELECT\b|\bWHERE\b|\bAND\b|\bHAVING\b|\$[a-z]+")
SQL_WORDS: Final = {
    rb" >= ": " > ", rb" <= ": " < ", rb" > ": " >= ", rb" < ": " <= ",
    rb"\bNOT IN\b": "IN", rb"\bAND\b": "OR", rb"\bIS NOT NULL\b": "IS NULL",
    rb"\bmin\(": "max(", rb"\bmax\(": "min(",
}  # fmt: skip
LEAVING_STATEMENTS: Final = (ast.Raise, ast.Return, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutation:
    """One change of a module's source, given as bytes of UTF-8."""

    begin: int
    """The first byte that is replaced."""
    end: int
    """The byte after the last one that is replaced."""
    replacement: str

    def apply(self, source: bytes) -> bytes:
        """Return the source with the change."""
        return source[: self.begin] + self.replacement.encode() + source[self.end :]

    def find_line_number(self, source: bytes) -> int:
        """Return the line in which the change begins, from 1."""
        return source.count(b"\n", 0, self.begin) + 1

    def describe_lines(self, source: bytes) -> tuple[str, str]:
        """Return the changed lines before and after the change, with single blanks."""
        first = source.rfind(b"\n", 0, self.begin) + 1
        last = source.find(b"\n", self.end)
        after = source[first : self.begin] + self.replacement.encode() + source[self.end : last]
        return _join_blanks(source[first:last]), _join_blanks(after)


def _join_blanks(text: bytes) -> str:
    return " ".join(text.decode().split())


def find_mutations(source: bytes) -> list[Mutation]:
    """Find all mutations of a module, in the order of its source."""
    finder = _MutationFinder(source)
    finder.visit(ast.parse(source))
    return sorted(
        set(finder.mutations), key=lambda mutation: (mutation.begin, mutation.replacement)
    )


class _MutationFinder(ast.NodeVisitor):
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.mutations: list[Mutation] = []
        self.line_begins = [0]
        for line in source.splitlines(keepends=True):
            self.line_begins.append(self.line_begins[-1] + len(line))
        self.function_depth = 0

    def begin_of(self, node: ast.expr | ast.stmt) -> int:
        return self.line_begins[node.lineno - 1] + node.col_offset

    def end_of(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.line_begins[node.end_lineno - 1] + node.end_col_offset

    def replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.mutations.append(Mutation(self.begin_of(node), self.end_of(node), text))

    def negate(self, test: ast.expr) -> None:
        text = self.source[self.begin_of(test) : self.end_of(test)].decode()
        self.replace(test, f"not ({text})")

    def replace_between(
        self, left: ast.expr, right: ast.expr, pattern: re.Pattern[bytes], words: dict[str, str]
    ) -> None:
        """Replace the operator between two operands."""
        match = pattern.search(self.source, self.end_of(left), self.begin_of(right))
        if match is not None and match[0].decode() in words:
            self.mutations.append(Mutation(*match.span(), words[match[0].decode()]))

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, right in pairwise([node.left, *node.comparators]):
            self.replace_between(left, right, COMPARISON_PATTERN, COMPARISONS)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in pairwise(node.values):
            pattern = re.compile(rb"\b(and|or)\b")
            self.replace_between(left, right, pattern, {"and": "or", "or": "and"})
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        # `|` outside functions joins types.
        is_type = isinstance(node.op, ast.BitOr) and self.function_depth == 0
        if not is_type:
            self.replace_between(node.left, node.right, OPERATOR_PATTERN, OPERATORS)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        operand = self.source[self.begin_of(node.operand) : self.end_of(node.operand)]
        self.replace(node, f"({operand.decode()})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace(node, str(not value))
        elif isinstance(value, int):
            self.replace(node, str(value + 1))
            self.replace(node, str(value - 1) if value else "-1")
        elif isinstance(value, float) and value:
            self.replace(node, repr(value * 2))
            self.replace(node, repr(value / 2))
        elif isinstance(value, float):
            self.replace(node, "1.0")
        elif isinstance(value, str):
            self.mutate_sql(node)

    def mutate_sql(self, node: ast.Constant) -> None:
        begin, end = self.begin_of(node), self.end_of(node)
        if not SQL_MARK.search(self.source, begin, end):
            return
        for pattern, word in SQL_WORDS.items():
            for match in re.compile(pattern).finditer(self.source, begin, end):
                self.mutations.append(Mutation(*match.span(), word))

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node.body[-1], LEAVING_STATEMENTS):
            self.replace(node.test, "False")
        else:
            self.negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.replace(test, "True")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            self.replace(node.func, FUNCTIONS[node.func.id])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "abs":
            self.mutations.append(Mutation(self.end_of(node.func.value), self.end_of(node), ""))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node.value, ast.Call | ast.Await):
            text = self.source[self.begin_of(node) : self.end_of(node)]
            if not text.startswith((b"print(", b"super()")):
                self.replace(node, "pass")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in ("__str__", "__repr__"):
            return
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self.function_depth += 1
        for statement in node.body:
            self.visit(statement)
        self.function_depth -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)  # type: ignore[arg-type]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave messages as they are."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave messages and keys as they are."""
