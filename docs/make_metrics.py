"""Write docs/metrics.md, the reference of all metrics and other columns of the results, from their definitions."""

from pathlib import Path

from defectbench.evaluation.column_definitions import GROUPS, NAME_PARTS
from defectbench.metrics.definition import ALL_TRACKS, Definition
from defectbench.metrics.version import METRIC_VERSION

HEAD = f"""\
# Metrics

Made by `python docs/make_metrics.py` from the definitions in `workflow/defectbench/metrics/` and
`workflow/defectbench/evaluation/`; a test fails if it is out of date. These are the columns of
`results/{{study}}/results.csv`; the metrics are also in every experiment's `metrics.json`, there by class too. This
is version {METRIC_VERSION} of them, the column `metric_version` ([history](../CHANGELOG.md#metric-definitions)).

tp, fp and fn are the pixels of one image that are true positives, false positives and false negatives, or their totals
over all images. *Defective* images have a non-empty truth, *clean* ones an empty one. Metrics without a prefix or
suffix are of the test images and of the merged masks, the union of the classes, each at its calibrated threshold. Where
a cell is empty, a column is never null, is given in all tracks, or has no average or unit.
"""
# Heading of a column -> the attribute of a definition that it shows.
COLUMNS = {
    "name": "name",
    "what": "description",
    "formula": "formula",
    "averaged": "averaging",
    "range": "value_range",
    "null when": "null_when",
    "tracks": "track",
    "source": "source",
}
# What most definitions have, and so a table without an exception leaves out.
USUAL = {"track": ALL_TRACKS, "null_when": "never"}


def reference() -> str:
    """The whole page as Markdown."""
    parts = [
        HEAD,
        "## Prefixes and suffixes\n",
        table(["part", "meaning"], [[f"`{p}`", m] for p, m in NAME_PARTS.items()]),
    ]
    for title, definitions in GROUPS.items():
        parts += [f"## {title}\n", definitions_table(definitions)]
    return "\n".join(parts)


def definitions_table(definitions: tuple[Definition, ...]) -> str:
    """A row per definition, without the columns in which none has anything to say."""
    rows = [[cell(definition, attribute) for attribute in COLUMNS.values()] for definition in definitions]
    used = [index for index in range(len(COLUMNS)) if any(row[index] for row in rows)]
    headings = list(COLUMNS)
    return table([headings[index] for index in used], [[row[index] for index in used] for row in rows])


def cell(definition: Definition, attribute: str) -> str:
    """What a definition says in one column; empty for what is usual."""
    value = getattr(definition, attribute)
    return f"`{value}`" if attribute == "name" else "" if value == USUAL.get(attribute) else value


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    (Path(__file__).parent / "metrics.md").write_text(reference(), encoding="utf-8")
