"""The command line of plots of experiments' records."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.command import draw
from defectbench.reporting.records import read_records


def draw_records(
    argv: Sequence[str] | None, description: str | None, figure: Callable[..., Figure], **readers: Callable[[Path], Any]
) -> None:
    """Like :func:`draw`, but ``figure`` first takes the records that ``--experiments`` and ``--results`` name."""

    def figure_of_study(experiments: ResultsSettings, results: pd.DataFrame, **others: Any) -> Figure:
        return figure(read_records(results, experiments.experiments), **others)

    draw(argv, description, figure_of_study, experiments=ResultsSettings.read, results=pd.read_parquet, **readers)
