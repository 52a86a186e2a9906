"""Large files (packs, weights, score maps) as inputs and outputs, each with its digest; see defectbench/digests.py."""

from defectbench.digests import digests


def large(*paths):
    """Files as inputs: of a large one only the digest, which follows it, decides what is stale."""
    return [
        part
        for path in paths
        for part in ((ancient(path), *digests(path)) if digests(path) else (path,))
    ]


def large_file(function):
    """Input function: the large file that another one names, and its digest."""
    return lambda wildcards: large(function(wildcards))


def digests_of(*functions):
    """Input function: digests of the large files that other input functions name."""
    return lambda wildcards: digests(
        *(path for files in functions for path in files(wildcards))
    )


def map_file(folder, role):
    """The score maps of images of ``role`` as an output: kept, or temporary (`storage: maps`)."""
    path = f"{folder}/{role}.pred.parquet"
    return path if STUDY.storage.keeps(role) else temp(path)


def map_digests(folder, val="val"):
    """The digests of an experiment's maps of val, or out-of-fold, and test images."""
    return digests(f"{folder}/{val}.pred.parquet", f"{folder}/test.pred.parquet")


def pack_inputs(folder, *names):
    """The arrays ``names`` of a pack, images or masks or both, with digests and indexes."""
    arrays = [f"{folder}/{name}.bin" for name in names]
    return [*large(*arrays), *(f"{folder}/{name}.parquet" for name in names)]


def pack_outputs(folder):
    """The files of a pack."""
    arrays = [f"{folder}/{name}.bin" for name in ("images", "masks")]
    return [
        *arrays,
        *digests(*arrays),
        *multiext(f"{folder}/", "images.parquet", "masks.parquet"),
    ]
