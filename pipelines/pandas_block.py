"""Keep pyarrow from importing pandas, which no command needs."""

import sys


class _PandasBlocker:
    """A finder of modules that reports pandas as not installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=name)


def block_pandas_import() -> None:
    """Make the import of pandas fail in this process.

    pyarrow imports pandas whenever it is installed. That takes half the time of a query.
    """
    sys.meta_path.insert(0, _PandasBlocker)
