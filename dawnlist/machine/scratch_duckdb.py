"""A temporary database for one piece of work."""

import tempfile

import duckdb


def open_scratch_database() -> duckdb.DuckDBPyConnection:
    """Open an empty DuckDB. What does not fit into memory goes to the temporary folder.

    DuckDB's default is the working directory, where a container that is not root may not write.
    """
    return duckdb.connect(config={"temp_directory": tempfile.gettempdir()})
