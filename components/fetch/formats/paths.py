"""Land values inside objects, which the settings name by a path, as columns of their own."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from dawnlist.components.fetch.formats.columns import quote_json_pointer
from dawnlist.components.fetch.read_ahead import RecordBatches
from dawnlist.rows.column_aliases import find_paths


def add_paths(
    select: str,
    names: Sequence[str],
    types: Sequence[pa.DataType],
    shop_names: dict[str, list[str]],
) -> tuple[str, list[str]]:
    """Add a column for each path to a query for c0, c1, ...; return the query and the new names.

    Args:
        select: The query.
        names: The source's names of c0, c1, ...
        types: Their types.
        shop_names: Canonical column -> names and paths that the settings give.
    """
    cells: list[str] = []
    new_names = []
    for path in find_paths(names, shop_names):
        cell = _extract(f"c{path.index}", types[path.index], path.keys)
        cells.append(f"{cell} AS c{len(names) + len(cells)}")
        new_names.append(path.name)
    if not cells:
        return select, []
    return f"SELECT *, {', '.join(cells)} FROM ({select})", new_names


def _extract(cell: str, kind: pa.DataType, keys: Sequence[str]) -> str:
    """Write the SQL for a value inside a cell; NULL where the cell is no object."""
    json = f"TRY_CAST(CAST({cell} AS VARCHAR) AS JSON)"
    if pa.types.is_nested(kind):
        json = f"to_json({cell})"
    return f"json_extract_string({json}, {quote_json_pointer(keys)})"


def add_paths_to_batches(batches: RecordBatches, shop_names: dict[str, list[str]]) -> RecordBatches:
    """Add a column for each path to batches of a database, which hold JSON as text."""
    connection = None
    try:
        for batch in batches:
            if connection is None:
                connection = duckdb.connect()
            yield _add_paths_to_batch(connection, batch, shop_names)
    finally:
        if connection is not None:
            connection.close()


def _add_paths_to_batch(
    connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, shop_names: dict[str, list[str]]
) -> pa.RecordBatch:
    # DuckDB takes 'Event' and 'event' for one name.
    numbered = pa.table(batch.columns, names=[f"c{index}" for index in range(batch.num_columns)])
    connection.register("numbered", numbered)
    select = "SELECT * FROM numbered"
    query, names = add_paths(select, batch.schema.names, batch.schema.types, shop_names)
    if not names:
        return batch
    new_cells = [f"c{batch.num_columns + number}" for number in range(len(names))]
    found = connection.sql(f"SELECT {', '.join(new_cells)} FROM ({query})").to_arrow_table()
    for name, column in zip(names, found.columns, strict=True):
        batch = batch.append_column(name, column.combine_chunks().cast(pa.string()))
    return batch
