"""Splits, folds and subsets of a large manifest: seconds and peak memory."""

import argparse
import time

import numpy as np
import pandas as pd

from defectbench.config.split import SplitSettings
from defectbench.data.splits import make_folds, make_split
from defectbench.data.subsets import make_subset
from defectbench.inference.memory import peak_resident_bytes


def manifest(n: int) -> pd.DataFrame:
    """``n`` images in groups of one to five, half of them clean, four classes of lognormal areas."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(n), rng.integers(1, 6, n))[:n]
    present = rng.random((n, 4)) < [0.07, 0.02, 0.4, 0.06]
    area = (rng.lognormal(8, 1.5, (n, 4)) * present).astype(np.int64)
    names = pd.Series(np.arange(n)).astype(str).str.zfill(8)
    return pd.DataFrame({"image_id": names, "group": "g" + pd.Series(group).astype(str), "area": list(area)})


def main() -> None:
    """Print seconds of each step and the peak memory of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    frame = manifest(args.rows)
    started = time.perf_counter()
    split = make_split(frame, SplitSettings())
    print(f"{args.rows} images: split {time.perf_counter() - started:.1f} s", flush=True)
    roles = split.groupby("group")["role"].nunique()
    assert roles.max() == 1, "a group was divided"
    started = time.perf_counter()
    make_folds(frame, split, 5, 42)
    print(f"5 folds {time.perf_counter() - started:.1f} s", flush=True)
    started = time.perf_counter()
    for n in (100, 1000, 4000):
        make_subset(frame, split, n, 42)
    print(f"3 subsets {time.perf_counter() - started:.1f} s")
    print(f"peak memory {peak_resident_bytes() / 2**30:.1f} GB")


if __name__ == "__main__":
    main()
