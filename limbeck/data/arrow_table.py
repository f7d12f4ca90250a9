"""Rows out of Arrow tables: Parquet files, and the data sets that `datasets` loads."""

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from limbeck.data.json_table import too_long
from limbeck.errors import LimbeckError


def arrow_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of an Arrow table, with numbers of 32 and 16 bits as they were written: 0.1, not widened.

    A class label of `datasets` is its name, None where it is -1.
    """
    classes, columns = _classes(table.schema), {}
    for field, column in zip(table.schema, table.columns, strict=True):
        values = column.to_pylist()
        if field.name in classes:
            values = [_class_name(value, classes[field.name]) for value in values]
        elif _narrow(field.type):
            values = [_short(value, field.type) for value in values]
        columns[field.name] = values
    for index in range(table.num_rows):
        yield {name: values[index] for name, values in columns.items()}


def _classes(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of the classes of each column that `datasets` wrote as class labels."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: list(map(str, f["names"])) for name, f in features.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _class_name(value: Any, names: list[str]) -> Any:
    known = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if known else None if value == -1 else value


def _narrow(type: pa.DataType) -> bool:
    if isinstance(type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        return _narrow(type.value_type)
    return pa.types.is_float32(type) or pa.types.is_float16(type)


def _short(value: Any, type: pa.DataType) -> Any:
    if isinstance(value, list):
        return [_short(item, type.value_type) for item in value]
    if value is None or not math.isfinite(value):
        return value
    return float(str((np.float32 if pa.types.is_float32(type) else np.float16)(value)))


def parquet_rows(data: bytes, path: Path, max_row_bytes: int) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of a Parquet file's content, after the words that say where each stands.

    Raises:
        LimbeckError: it is no Parquet, or a text in it is longer than `max_row_bytes`.
    """
    try:
        table = pq.read_table(pa.BufferReader(data))
        for name, column in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                lengths = pc.binary_length(column)
                if (pc.max(lengths).as_py() or 0) > max_row_bytes:
                    row = pc.index(pc.greater(lengths, max_row_bytes), True).as_py() + 1
                    raise too_long(f"{path}: row {row}: field {name!r}", max_row_bytes)
        return [(f"{path}: row {number}", row) for number, row in enumerate(arrow_rows(table), start=1)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LimbeckError(f"{path}: cannot be read as Parquet ({error!s:.200})") from None


def decompressed(stream: BinaryIO) -> BinaryIO:
    """Return the content of a stream in Zstandard; reading it raises OSError where it is damaged."""
    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))
