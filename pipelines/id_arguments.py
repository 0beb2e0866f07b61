"""Let ids that begin with a minus sign be arguments of a command, such as `dawnlist recommend -1032`."""

import re
from typing import Any, Final

from typer.core import TyperCommand

_NEGATIVE_ID: Final = re.compile(r"-\d.*")


class IdCommand(TyperCommand):
    """A command whose arguments may be negative ids. No option of it may begin with a digit."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. A negative id is read as an argument, other options as usual."""
        ctx.ignore_unknown_options = any(map(_NEGATIVE_ID.fullmatch, args))
        return super().parse_args(ctx, args)
