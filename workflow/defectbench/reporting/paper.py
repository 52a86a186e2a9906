"""Tables for a paper, LaTeX and Markdown, from the same records as all other tables."""

from collections.abc import Mapping, Sequence

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.printable import printable
from defectbench.reporting.boards import BoardRow, board_notes, board_rows
from defectbench.reporting.findings import format_holm
from defectbench.reporting.markdown import as_text, markdown_table
from defectbench.reporting.numbers import DASH, format_count, format_decimal
from defectbench.reporting.verdicts import TESTED
from defectbench.reporting.words import METRIC_MEANINGS, TRACKS

# Column of results.parquet -> column of the table, and places after the point; None: a count.
COLUMNS: dict[str, tuple[str, int | None]] = {
    "dice_at_clean_share": ("at the line's clean share", 3),
    "test_mIoU": ("mIoU", 3),
    "IoU@50": ("IoU@50", 3),
    "cv_dice_all_mean": ("CV dice_all", 3),
    "cv_dice_all_sd": ("CV sd", 3),
    "AUPRC": ("AUPRC", 3),
    "fp_image_rate": ("FP images", 3),
    "n_labels_train": ("labels", None),
    "params_total": ("parameters", None),
}
Tables = Mapping[str, tuple[str, pd.DataFrame]]
"""Name -> caption and table of texts"""


def paper_tables(
    results: pd.DataFrame, ranks: pd.DataFrame, pairwise: pd.DataFrame, names: Mapping[str, str]
) -> Tables:
    """A table per track, best first, and one of the tests; ``names`` maps experiments to their short names."""
    tables = {}
    for track in TRACKS:
        if rows := board_rows(results, ranks, track):
            metric = PRIMARY[track]
            spread = " ±: standard deviation between seeds." if any(pd.notna(row.sd) for row in rows) else ""
            sentences = [
                f"{track.capitalize()} track by {metric}: {METRIC_MEANINGS[metric]}. Brackets: 95 % interval; those of "
                f"the other columns are in results.csv.{spread}",
                *board_notes(rows, ranks, track),
            ]
            tables[track] = (" ".join(sentences), _track(rows, metric))
    if len(pairwise):
        caption = (
            "Differences in percentage points. p: Wilcoxon's signed rank test, the bootstrap of the mean and, with "
            "several seeds on both sides, a t test with the variance between trainings together, by groups of images, "
            "with Holm's correction."
        )
        tables["tests"] = (caption, _tests(pairwise, names))
    return tables


def as_markdown(tables: Tables, notes: Sequence[str]) -> str:
    """The tables one below the other, each under its caption, and ``notes`` on the data."""
    parts = []
    for caption, cells in tables.values():
        parts += [as_text(caption), markdown_table(list(cells.columns), cells.map(as_text).to_numpy().tolist())]
    return "\n\n".join([*parts, *(f"**{as_text(note)}**" for note in notes)]) + "\n"


def as_latex(tables: Tables, notes: Sequence[str]) -> str:
    """The tables as ``table`` environments, and ``notes`` on the data as text; needs the package booktabs."""
    parts = []
    for name, (caption, cells) in tables.items():
        layout = {"label": f"tab:{name}", "column_format": "l" + "r" * (cells.shape[1] - 1)}
        escaped = cells.map(_escaped).rename(columns=_escaped)
        parts.append(escaped.to_latex(index=False, caption=_escaped(caption), **layout))
    return "\n".join([*parts, *(f"\\noindent\\textbf{{{_escaped(note)}}}\n" for note in notes)])


def _track(rows: list[BoardRow], metric: str) -> pd.DataFrame:
    columns = {"experiment": [row.name for row in rows], metric: [row.format_interval() for row in rows]}
    for name, (header, places) in COLUMNS.items():
        values = [row.values[name] for row in rows]
        if any(pd.notna(value) for value in values):
            columns[header] = [
                (format_count(value) or DASH) if places is None else format_decimal(value, places) for value in values
            ]
    return pd.DataFrame(columns)


def _tests(pairwise: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    rows = pairwise.to_dict("records")
    return pd.DataFrame(
        {
            "a": [names[row["a"]] for row in rows],
            "b": [names[row["b"]] for row in rows],
            "a - b": [format_decimal(row["difference"], 1) for row in rows],
            "95 % interval": [_interval(row["difference_lo"], row["difference_hi"], 1) for row in rows],
            "Holm p": [format_holm(row).removeprefix("= ") if row["claim"] in TESTED else DASH for row in rows],
            "claim": [row["claim"] for row in rows],
        }
    )


def _interval(low: float, high: float, places: int = 3) -> str:
    return f"[{format_decimal(low, places)}, {format_decimal(high, places)}]"


def _escaped(text: str) -> str:
    """``text`` as LaTeX shows it."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", DASH: "--"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    escaped = "".join(special.get(character, character) for character in printable(text))
    # After the end of a row these would be options of it.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped
