"""Archives and packed tables that would fill memory or disk."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bombs import bomb
from bombs_of_images import png

# Archives -------------------------------------------------------------------------------------------------------------


def archive(folder: Path, data: bytes) -> Path:
    (folder / "archive").write_bytes(data)
    return folder / "archive"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return file.getvalue()


def said_to_be(name: str, kind: bytes, size: int) -> bytes:
    """The header of a member of a tar archive."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@bomb("unpack_archive", "refused, would unpack to more than 268,435,456 bytes")
def zip_ratio(folder: Path) -> Any:
    return archive(folder, zipped({"a": bytes(3 * 10**8)}))


@bomb("unpack_archive", "refused, would unpack to more than")
def zip_overlapping(folder: Path) -> Any:
    """One member that the directory lists 400 times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0", bytes(10**6))
        for number in range(1, 400):
            again = zipfile.ZipInfo(str(number))
            for key in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(again, key, getattr(packed.filelist[0], key))
            packed.filelist.append(again)
    return archive(folder, file.getvalue())


@bomb("unpack_archive", "would fill the disk|refused, would unpack to more than")
def zip_that_says_too_much(folder: Path) -> Any:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a", b"x")
        packed.filelist[0].file_size = 2**50
    return archive(folder, file.getvalue())


@bomb("unpack_archive", "is not stored or deflated")
def zip_of_another_method(folder: Path) -> Any:
    return archive(folder, zipped({"a": bytes(2 * 10**8)}, zipfile.ZIP_BZIP2))


@bomb("unpack_archive", "refused, would unpack to more than")
def tar_ratio(folder: Path) -> Any:
    return archive(folder, gzip.compress(said_to_be("a", tarfile.REGTYPE, 3 * 10**8) + bytes(3 * 10**8), 1))


@bomb("unpack_archive", "a header of more than 1,048,576 bytes")
def tar_header(folder: Path) -> Any:
    return archive(folder, gzip.compress(said_to_be("a", tarfile.XHDTYPE, 3 * 10**8) + bytes(3 * 10**8), 1))


@bomb("unpack_archive", "a header of more than 1,048,576 bytes")
def tar_name(folder: Path) -> Any:
    return archive(folder, gzip.compress(said_to_be("a", tarfile.GNUTYPE_LONGNAME, 3 * 10**8) + bytes(3 * 10**8), 1))


@bomb("unpack_archive", "1 files")
def zip_in_zip(folder: Path) -> Any:
    return archive(folder, zipped({"inner.zip": zipped({"a": bytes(10**8)})}))


# Hugging Face ---------------------------------------------------------------------------------------------------------


def rows(images: Sequence[object], masks: Sequence[object]) -> pa.Table:
    return pa.table({"image": pa.array(images, pa.binary()), "mask": pa.array(masks, pa.binary())})


@bomb("unpack_rows", "would unpack to more than")
def parquet_of_one_value(root: Path) -> Any:
    value = png(9, 9) + bytes(30 * 10**6)
    options: dict[str, Any] = {"compression": "zstd", "dictionary_pagesize_limit": 2**30}
    pq.write_table(rows([value] * 10, [None] * 10), root / "train.parquet", **options)


@bomb("unpack_rows", "would unpack from .* as pictures do not")
def parquet_page(root: Path) -> Any:
    pq.write_table(rows([bytes(3 * 10**8)], [None]), root / "train.parquet", compression="zstd", use_dictionary=False)


@bomb("unpack_rows", "is compressed; save it")
def arrow_page(root: Path) -> Any:
    table = rows([bytes(3 * 10**8)], [None])
    with pa.ipc.new_stream(root / "data.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as to:
        to.write_table(table)


@bomb("unpack_rows", "recursion")
def json_depth(root: Path) -> Any:
    (root / "metadata.jsonl").write_text('{"image": ' + "[" * 10**6 + "\n")
