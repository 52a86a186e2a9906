"""Size of a dataset's largest image, by which memory is asked for while Snakemake plans."""

from functools import cache
from pathlib import Path


@cache
def largest_image(manifest: Path, _modified: int) -> int:
    """Pixels of the largest image in a ``manifest``, as it is at a time; 0 if it cannot be read."""
    from pyarrow import ArrowException, compute, parquet  # a while after the start, and only if there is a manifest

    try:
        sizes = parquet.read_table(manifest, columns=["height", "width"])
        height, width = (column.cast("int64") for column in sizes.columns)
    except (ArrowException, ValueError):  # the jobs that read it say what is wrong
        return 0
    return compute.max(compute.multiply(height, width)).as_py() or 0
