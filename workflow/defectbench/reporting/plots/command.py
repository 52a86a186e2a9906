"""The command line that all scripts of plots share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from defectbench.reporting.plots.style import save

OPTIONS = {
    "settings": "settings file of the plot",
    "experiments": "results.yaml: folders of the experiments",
    "results": "results.parquet",
    "ranks": "ranks.csv",
    "pairwise": "pairwise.csv",
    "points": "operating_points.csv",
    "curves": "data_efficiency_curves.csv",
    "fits": "data_efficiency.csv",
    "manifest": "manifest.parquet of the dataset",
    "split": "split.csv",
    "pack": "folder of the packed images and masks",
    "prompts": "folder of the dataset's prompts",
}
"""Help of the options by which a script is given its inputs."""


def draw(
    argv: Sequence[str] | None, description: str | None, figure: Callable[..., Figure], **readers: Callable[[Path], Any]
) -> None:
    """Parse ``argv``, draw ``figure`` and save it as PNG and optionally as SVG.

    The script has an option for each of ``readers``, which reads its path; ``figure`` takes the values as keyword
    arguments of the options' names.
    """
    parser = argparse.ArgumentParser(description=description)
    for option in readers:
        parser.add_argument(f"--{option}", type=Path, required=True, help=OPTIONS[option])
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, help="SVG file to write")
    args = parser.parse_args(argv)

    paths = [path for path in (args.png, args.svg) if path is not None]
    save(figure(**{option: read(getattr(args, option)) for option, read in readers.items()}), *paths)
    print(*paths)
