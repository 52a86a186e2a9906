"""Datasets of Hugging Face with images and masks, unpacked into files: Parquet, ``save_to_disk``, and ``imagefolder``.

Read with pyarrow alone. A column of images holds the bytes of a file, its path, or both; the bytes are written as they
are, and the masks stay what they were: format ``mask_folder`` reads them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.data.decoders import ImageError, open_image
from defectbench.data.foreign_text import TextError, read_table, read_text
from defectbench.data.packed_tables import check_arrow, check_parquet
from defectbench.data.room import Room, RoomError
from defectbench.files import atomic_folder
from defectbench.printable import is_printable
from defectbench.script import UserError
from defectbench.walk import walk, with_suffix

IMAGE_COLUMNS = ("image", "img", "file_name", "pixel_values")
MASK_COLUMNS = ("mask", "masks", "label", "annotation", "segmentation_mask", "mask_file_name", "label_file_name")
"""Names that the columns usually have, in the order in which they are looked for."""
_SUFFIXES = {"BMP": ".bmp", "JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp"}
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?")
_MOST_NAME = 200  # bytes of a file's name, beside which a number and a suffix find room


class HuggingFaceError(UserError):
    """A folder that holds no dataset with images and masks, or a row that cannot be unpacked."""


class Unpacked(NamedTuple):
    """What was unpacked."""

    images: int
    masks: int
    """Fewer than images, if rows have none."""
    splits: tuple[str, ...]
    columns: tuple[str, str]
    """Names of the columns of images and masks."""
    links: tuple[str, ...]
    """Links out of the data that were followed."""


def unpack(data: Path, folder: Path, image_column: str | None = None, mask_column: str | None = None) -> Unpacked:
    """Write ``images/SPLIT/NAME`` and ``masks/SPLIT/NAME`` of the dataset in ``data`` into ``folder``, or nothing.

    Names are those in the data, or the numbers of the rows where there are none or where they are not unique.

    Raises:
        HuggingFaceError: if ``folder`` is not empty, there is no such dataset or column, a row is not readable, or the
            files would be far more than the data, or more than the disk has room for.
    """
    if folder.exists() and any(folder.iterdir()):
        raise HuggingFaceError(f"{folder} is not empty; remove it, or name another folder")
    found = walk(data)
    tables = _find_tables(data, found.files)
    if not tables:
        raise HuggingFaceError(
            f"{data}: no Parquet files, Arrow files of save_to_disk, or metadata.csv or .jsonl of an imagefolder"
        )
    with atomic_folder(folder) as temporary:
        counts = {"images": 0, "masks": 0}
        columns = ("", "")
        taken: dict[str, int] = {}
        room = Room(folder, sum(path.stat().st_size for path in found.files))
        for table, split in tables:
            for number, row in enumerate(_rows(table), start=1):
                columns = columns if columns[0] else _choose(table, list(row), image_column, mask_column)
                place = f"{table}, row {number}"
                image, mask = (_read_cell(row.get(column), table, data, place) for column in columns)
                if image is None:
                    raise HuggingFaceError(f"{place}: column {columns[0]!r} has no image")
                taken[split] = taken.get(split, 0) + 1
                name = _name(temporary, split, _own_name(row.get(columns[0])), taken[split])
                counts["images"] += _save(temporary / "images" / name, image, place, room)
                counts["masks"] += 0 if mask is None else _save(temporary / "masks" / name, mask, place, room)
    links = tuple(path.relative_to(data).as_posix() for path in found.leaving)
    return Unpacked(counts["images"], counts["masks"], tuple(taken), columns, links)


def _find_tables(data: Path, files: Sequence[Path]) -> list[tuple[Path, str]]:
    """Those of ``files`` with rows, in order, and the split of each."""
    described = [path for path in files if path.name.lower() in ("metadata.csv", "metadata.jsonl", "metadata.parquet")]
    tables = described or with_suffix(files, {".parquet"}) or with_suffix(files, {".arrow"})
    return [(path, _split(path, data)) for path in tables if not path.name.startswith("cache-")]


def _split(path: Path, data: Path) -> str:
    """``train`` of train-00000-of-00002.parquet, train/data-00000-of-00001.arrow or train/metadata.csv."""
    name = match[1] if (match := _SHARD.fullmatch(path.stem)) else path.stem
    parents = path.relative_to(data).parent.parts
    own = "" if name in ("data", "metadata", "dataset") or name.isdigit() else name
    return own or (parents[-1] if parents else "") or "all"


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; of binary files one in memory at a time, since a few bytes may stand for many large ones."""
    try:
        if table.suffix.lower() == ".csv":
            yield from read_table(table).to_dict("records")
        elif table.suffix.lower() == ".jsonl":
            yield from _json_lines(read_text(table))
        elif table.suffix.lower() == ".parquet":
            with pq.ParquetFile(table) as file:
                check_parquet(file)
                for batch in file.iter_batches(batch_size=1):
                    yield from batch.to_pylist()
        else:
            with pa.memory_map(str(table)) as source, _open_arrow(source) as batches:
                for batch in batches:
                    for row in range(batch.num_rows):
                        yield from batch.slice(row, 1).to_pylist()
    except (TextError, ValueError, OSError, RecursionError, pa.ArrowException) as error:
        raise HuggingFaceError(f"{table}: cannot be read: {error}") from None


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise TextError(f"row {number} is no object with columns")
            yield row


def _open_arrow(source: Any) -> Any:
    """Batches of an Arrow file, which save_to_disk writes as a stream."""
    check_arrow(source)
    try:
        return pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        source.seek(0)
        reader = pa.ipc.open_file(source)
        return pa.RecordBatchReader.from_batches(
            reader.schema, (reader.get_batch(index) for index in range(reader.num_record_batches))
        )


def _choose(table: Path, names: list[str], image: str | None, mask: str | None) -> tuple[str, str]:
    """The columns of images and masks."""
    chosen = []
    for wanted, usual, option in ((image, IMAGE_COLUMNS, "image"), (mask, MASK_COLUMNS, "mask")):
        column = wanted or next((name for name in usual if name in names), None)
        if column not in names:
            what = f"no column {wanted!r}" if wanted else f"no column of {option}s is known by its name"
            raise HuggingFaceError(f"{table}: {what}; name it with --{option}-column, one of {', '.join(names)}")
        chosen.append(column)
    return chosen[0], chosen[1]


def _read_cell(cell: Any, table: Path, data: Path, place: str) -> bytes | None:
    """The bytes of the file in a cell; None if there is none."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bytes):
        return cell
    path = cell.get("path") if isinstance(cell, dict) else cell
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        return cell["bytes"]
    if not isinstance(path, str):
        raise HuggingFaceError(f"{place}: holds {type(cell).__name__}, not an image; name other columns")
    for file in (table.parent / path, data / path):
        if file.is_file() and file.resolve().is_relative_to(data.resolve()):
            return file.read_bytes()
    raise HuggingFaceError(f"{place}: no file {path!r} beside the table or in {data}")


def _own_name(cell: Any) -> str:
    """The name of the file in a cell, without folders and suffix; '' if it has none that can be used."""
    path = cell.get("path") if isinstance(cell, dict) else cell
    name = PurePosixPath(path.replace("\\", "/")).stem if isinstance(path, str) else ""
    is_usable = is_printable(name) and not name.startswith(".") and len(name.encode()) <= _MOST_NAME
    return name if is_usable else ""


def _name(folder: Path, split: str, name: str, number: int) -> PurePosixPath:
    """A new name for an image and its mask, without suffix."""
    used = any((folder / "images" / split / f"{name}{suffix}").exists() for suffix in _SUFFIXES.values())
    return PurePosixPath(split, name if name and not used else f"{name or 'row'}_{number:06d}")


def _save(path: Path, content: bytes, place: str, room: Room) -> int:
    """Write an image with the suffix of its format; returns 1."""
    try:
        room.take(len(content))
        suffix = _SUFFIXES[str(open_image(content).format)]
    except RoomError as error:
        raise HuggingFaceError(f"{place}: {error}") from None
    except (ImageError, KeyError) as error:
        raise HuggingFaceError(f"{place}: image {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + suffix).write_bytes(content)
    return 1
