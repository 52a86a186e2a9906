"""Parquet and Arrow files that would unpack to far more than their size, found before anything is unpacked."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.data.foreign_text import TextError
from defectbench.data.room import MOST_FREELY, MOST_RATIO

_MAGIC = b"ARROW1\0\0"
# Fields of Arrow's flatbuffers, by their number in the schema Message.fbs.
_HEADER_TYPE, _HEADER = 1, 2
_RECORDS, _DICTIONARY = 3, 2
_DICTIONARY_RECORDS, _COMPRESSION = 1, 3


def check_parquet(file: pq.ParquetFile) -> None:
    """Refuse a file with a part of a column that unpacks to more than its size allows.

    Raises:
        TextError: if it has one.
    """
    for group in range(file.metadata.num_row_groups):
        of_group = file.metadata.row_group(group)
        for number in range(of_group.num_columns):
            column = of_group.column(number)
            if column.total_uncompressed_size > max(MOST_FREELY, MOST_RATIO * column.total_compressed_size):
                raise TextError(
                    f"column {column.path_in_schema!r} would unpack from {column.total_compressed_size:,} bytes to"
                    f" {column.total_uncompressed_size:,}, as pictures do not"
                )


def check_arrow(source: Any) -> None:
    """Refuse an Arrow file whose rows are compressed, which would be unpacked at once; ``save_to_disk`` writes none.

    Raises:
        TextError: if they are.
        pa.ArrowInvalid: if it is no Arrow file.
    """
    # A file is a stream with a mark before it and a footer behind.
    if source.read(len(_MAGIC)) != _MAGIC:
        source.seek(0)
    for message in pa.ipc.MessageReader.open_stream(source):
        if _is_compressed(message.metadata.to_pybytes()):
            raise TextError("is compressed; save it with the library datasets, by save_to_disk")
    source.seek(0)


def _is_compressed(message: bytes) -> bool:
    """Whether a message of Arrow holds compressed rows."""
    root = int.from_bytes(message[:4], "little")
    kind = message[_field(message, root, _HEADER_TYPE)]
    if kind not in (_RECORDS, _DICTIONARY):
        return False
    records = _table(message, root, _HEADER)
    if kind == _DICTIONARY:
        records = _table(message, records, _DICTIONARY_RECORDS)
    return _field(message, records, _COMPRESSION) != records


def _field(message: bytes, table: int, number: int) -> int:
    """Where a field of a table of flatbuffers is; at the table itself, if it is not there."""
    directory = table - int.from_bytes(message[table : table + 4], "little", signed=True)
    place = directory + 4 + 2 * number
    is_listed = place < directory + int.from_bytes(message[directory : directory + 2], "little")
    return table + (int.from_bytes(message[place : place + 2], "little") if is_listed else 0)


def _table(message: bytes, table: int, number: int) -> int:
    """Where the table is that a field of a table refers to."""
    place = _field(message, table, number)
    return place + int.from_bytes(message[place : place + 4], "little")
