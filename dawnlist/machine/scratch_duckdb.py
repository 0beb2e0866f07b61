"""A database for as long as a query takes."""

import tempfile

import duckdb


def open_scratch_database() -> duckdb.DuckDBPyConnection:
    """An empty DuckDB; what does not fit into memory goes to the temporary folder.

    DuckDB's own choice is the working directory, where a container that is not root may not write.
    """
    return duckdb.connect(config={"temp_directory": tempfile.gettempdir()})
