"""The page of a study: one HTML file from its records."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np
import pandas as pd

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting.claim_notes import claim_notes
from defectbench.reporting.findings import difference_sentence
from defectbench.reporting.image_choice import select_images
from defectbench.reporting.names import experiment_names, training_names
from defectbench.reporting.overlay import class_colours, prediction_legend
from defectbench.reporting.page.answer import answer, standings_by_track
from defectbench.reporting.page.caveats import caveats
from defectbench.reporting.page.experiment_cards import experiment_card
from defectbench.reporting.page.pictures import image_pictures, prediction_overlays
from defectbench.reporting.page.provenance import provenance
from defectbench.reporting.page.tables import tables
from defectbench.reporting.palette import family_colours
from defectbench.reporting.records import Record, read_records

TEMPLATES = Path(__file__).parent / "templates"
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:"


@dataclass(frozen=True)
class Inputs:
    """The tables and folders of a study."""

    study: str
    results: pd.DataFrame
    ranks: pd.DataFrame
    pairwise: pd.DataFrame
    points: pd.DataFrame
    """operating_points.csv"""
    issues: pd.DataFrame
    leaks: pd.DataFrame
    split: pd.DataFrame
    ungrouped: bool
    """Whether only the pixels tell which images belong together"""
    folders: Sequence[Path]
    pack: Path
    plots: Sequence[Path]
    captions: Path
    """Folder of the plots' captions, NAME.rst each"""


def build_page(inputs: Inputs) -> str:
    """The page as self-contained HTML."""
    results, pairwise = inputs.results, inputs.pairwise
    records = read_records(results, inputs.folders)
    standings = standings_by_track(results, pairwise)
    names, trainings = experiment_names(results), training_names(results)
    defective, scores = _scores(records)
    automatic = [i for i, record in enumerate(records) if record.row["track"] == "automatic"]
    selected_images = select_images(scores[automatic or list(scores)], defective)
    images, masks = ImagePack(inputs.pack), MaskPack(inputs.pack)
    comparisons = pairwise.to_dict("records")
    findings = [difference_sentence(row, names, trainings) for row in comparisons]
    legend = prediction_legend(masks.has_ignored)
    families, classes = family_colours(results["family"], results["track"]), class_colours(masks.class_names)
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    style += _colour_rules([*families.values(), *(colour for colour, _ in legend), *classes.values()])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["points"] = _polyline
    return environment.get_template("page.html").render(
        # No other script or style runs, wherever a name might smuggle one in.
        policy=markupsafe.Markup(f"{_POLICY}; script-src {_source(script)}; style-src {_source(style)}"),
        script=markupsafe.Markup(script),
        style=markupsafe.Markup(style),
        study=inputs.study,
        dataset=", ".join(results["dataset"].unique()),
        answer=answer(results, inputs.ranks, pairwise, standings),
        caveats=[
            *caveats(results, records, standings, names, inputs.issues, inputs.leaks, inputs.ungrouped),
            *(f"{note}." for note in claim_notes(results, inputs.ranks, pairwise, names)),
        ],
        tables=tables(results, inputs.ranks, records, standings),
        families=families,
        records=records,
        n_experiments=results["experiment"].nunique(),
        cards=[experiment_card(record, inputs.points) for record in records],
        findings=findings,
        plots=[_plot(path, inputs.captions) for path in inputs.plots],
        provenance=provenance(records, inputs.split),
        legend=legend,
        classes=classes,
        data={
            "experiments": [_experiment(record) for record in records],
            "pairs": {f"{row['a']}|{row['b']}": sentence for row, sentence in zip(comparisons, findings, strict=True)},
            "images": list(scores.index),
            "defective": [int(value) for value in defective],
            "scores": [_thousandths(scores[i]) for i in scores],
            "pictures": image_pictures(selected_images, images, masks),
            "overlays": [prediction_overlays(record, selected_images, images, masks) for record in records],
        },
    )


def _source(text: str) -> str:
    """The inline script or style ``text`` in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _colour_rules(colours: Iterable[str]) -> str:
    """A CSS class for each colour #RRGGBB: the policy forbids style attributes."""
    return "".join(
        f".c{colour[1:]} {{ background: {colour}; border-color: {colour}; }}\n" for colour in sorted({*colours})
    )


def _scores(records: Sequence[Record]) -> tuple[pd.Series, pd.DataFrame]:
    """Which images are defective, and Dice (images x experiments): NaN where an experiment did not predict an image."""
    columns: dict[int, pd.Series] = {}
    is_defective: dict[str, bool] = {}
    for i, record in enumerate(records):
        rows = record.counts().set_index("image_id")
        total = (2 * rows["tp"] + rows["fp"] + rows["fn"]).astype(float)
        dice = (2 * rows["tp"] / total).where(total > 0, 1.0)
        defective = rows["tp"] + rows["fn"] > 0
        columns[i] = dice.where(defective) if PRIMARY[record.row["track"]] == "test_Dice" else dice
        is_defective |= defective.to_dict()
    scores = pd.DataFrame(columns).sort_index()
    return pd.Series(is_defective).reindex(scores.index), scores


def _thousandths(scores: pd.Series) -> list[int | None]:
    return [None if np.isnan(value) else round(1000 * value) for value in scores]


def _experiment(record: Record) -> dict[str, Any]:
    row = record.row
    keys = ("exp_id", "experiment", "track", "family")
    return {key: row[key] for key in keys} | {"name": record.name, "metric": PRIMARY[row["track"]]}


def _plot(path: Path, captions: Path) -> dict[str, str]:
    """A plot as a data URI, with its caption."""
    kind = {".svg": "svg+xml", ".png": "png"}[path.suffix]
    caption = (captions / f"{path.stem}.rst").read_text(encoding="utf-8")
    uri = f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return {"name": path.stem.replace("_", " "), "uri": uri, "caption": " ".join(caption.split())}


def _polyline(points: Sequence[tuple[float, float]], x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    """Points of a polyline in a box of 200 x 100, y upwards."""
    (left, right), (low, high) = x_range, y_range
    across, up = max(right - left, 1e-12), max(high - low, 1e-12)
    return " ".join(f"{200 * (x - left) / across:.1f},{100 - 100 * (y - low) / up:.1f}" for x, y in points)
