"""Rows of Arrow tables: Parquet files, and the data sets that `datasets` loads."""

import io
import json
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from limbeck.data.tables import Rows, row_too_long
from limbeck.errors import DataError


def arrow_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table, with 16- and 32-bit floats as they were written: 0.1, not 0.10000000149.

    A class label of `datasets` is read as its name, and as None where it is -1.
    """
    try:
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        classes = {name: list(map(str, f["names"])) for name, f in features.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError):
        classes = {}
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        values = column.to_pylist()
        if names := classes.get(field.name):
            values = [
                names[value] if isinstance(value, int) and 0 <= value < len(names) else None if value == -1 else value
                for value in values
            ]
        elif dtype := _short_float(field.type):
            values = [_shortest(value, dtype) for value in values]
        columns.append(values)
    return [dict(zip(table.column_names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _short_float(type: pa.DataType) -> Any:
    """Return the numpy type of a column of short floats or of lists of them; None for other columns."""
    while isinstance(type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        type = type.value_type
    return np.float32 if pa.types.is_float32(type) else np.float16 if pa.types.is_float16(type) else None


def _shortest(value: Any, dtype: Any) -> Any:
    if isinstance(value, list):
        return [_shortest(item, dtype) for item in value]
    return value if value is None or not math.isfinite(value) else float(str(dtype(value)))


def parquet_rows(content: bytes, path: Path, max_row_bytes: int) -> Rows:
    """Return the rows of a Parquet file.

    Raises DataError: it is no Parquet, or a text in it is longer than `max_row_bytes`.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        for column in table.columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                lengths = pc.binary_length(column)
                if (pc.max(lengths).as_py() or 0) > max_row_bytes:
                    row = pc.index(pc.greater(lengths, max_row_bytes), True).as_py() + 1
                    raise row_too_long(f"{path}: row {row}", max_row_bytes)
        return [(f"{path}: row {number}", row) for number, row in enumerate(arrow_rows(table), start=1)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"cannot be read as Parquet ({error!s:.200})", path=path) from None


def zstd_stream(stream: BinaryIO) -> BinaryIO:
    """Return the decompressed content of a stream in Zstandard; reading it raises OSError where it is damaged."""
    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))
