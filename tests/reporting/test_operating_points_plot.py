"""Operating points and the noise of thresholds in plot, card and caveats."""

from dataclasses import replace

import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from defectbench.inference.prediction_file import PredictionFile
from defectbench.reporting.page.experiment_cards import experiment_card
from defectbench.reporting.plots.operating_points import operating_points_figure
from defectbench.reporting.threshold_noise import describe_ranges, threshold_caveat


@pytest.fixture(scope="module")
def points(study):
    return pd.read_csv(study.points)


def lines(axes, kind, exp_id):
    return [artist for artist in (*axes.lines, *axes.collections) if artist.get_gid() == f"{kind} {exp_id}"]


def test_the_curve_is_that_of_scikit_learn_and_the_dots_are_the_points(records, points):
    figure = operating_points_figure(records, points)
    record = records[0]
    defective = record.counts().set_index("image_id")["n_truth"] > 0
    with PredictionFile(record.folder / "test.pred.parquet") as file:
        scores = pd.Series({image_id: codes.max() for image_id, codes in file})
    flagged_clean, flagged_defective, _ = roc_curve(defective[scores.index], scores, drop_intermediate=False)
    curve, *dots = lines(figure.axes[0], "curve", record.exp_id)
    x, y = curve.get_data()
    assert {(round(a, 9), round(1 - b, 9)) for a, b in zip(flagged_clean, flagged_defective, strict=True)} == {
        (round(a, 9), round(b, 9)) for a, b in zip(x, y, strict=True)
    }
    chosen = points[(points["exp_id"] == record.exp_id) & points["supported"]]
    assert [tuple(float(v[0]) for v in dot.get_data()) for dot in dots] == list(
        zip(chosen["overkill"], chosen["escape"], strict=True)
    )
    bars = [bar.get_segments()[0][:, 1].tolist() for bar in lines(figure.axes[0], "band", record.exp_id)]
    assert bars == chosen[["escape_lo", "escape_hi"]].to_numpy().tolist()


def test_the_best_of_the_automatic_track_are_drawn_and_the_others_counted(records, points):
    figure = operating_points_figure(records, points)
    drawn = {line.get_gid().removeprefix("curve ") for line in figure.axes[0].lines}
    scores = {r.exp_id: r.row["dice_all"] for r in records if r.row["track"] == "automatic"}
    assert drawn == set(sorted(scores, key=scores.get)[-5:]) & scores.keys()
    nothing = operating_points_figure(records, points.iloc[:0])
    assert "No experiment of the automatic track has scores" in " ".join(text.get_text() for text in nothing.texts)


def test_the_card_has_the_points_and_says_what_val_is_too_small_for(records, points):
    card = experiment_card(records[0], points)
    rows = points[points["exp_id"] == records[0].exp_id]
    assert [row[0] for row in card.inspection[1:]] == [f"at most {p} % escape" for p in (0, 1, 2, 5)]
    assert [row[1] == "too few defective val images" for row in card.inspection[1:]] == (~rows["supported"]).tolist()
    first = rows.iloc[0]
    assert card.inspection[1][2].startswith(f"{first['overkill']:.3f} [{first['overkill_lo']:.3f}, ")
    with_cost = experiment_card(records[0], points.assign(cost=1234.5))
    assert with_cost.inspection[1][-1] == "1,234"
    reference = next(record for record in records if record.row["model"] == "all_empty")
    assert experiment_card(reference, points).inspection == []


def with_calibration(record, **changes):
    changed = replace(record)
    vars(changed)["calibration"] = record.calibration | changes
    return changed


def test_a_wide_range_of_the_threshold_is_a_caveat_and_on_the_card(records, points):
    assert list(threshold_caveat(records)) == []
    wide = with_calibration(records[0], threshold_range={"pits": [0.2, 0.35], "cracks": [0.25, 0.75]})
    (sentence,) = threshold_caveat([wide, *records[1:]])
    assert f"{wide.name} (pits 0.20 to 0.35; cracks 0.25 to 0.75)" in sentence
    assert "neither this nor the choice of post-processing" in sentence
    assert ("threshold on resampled val images, 95 %", "pits 0.20 to 0.35; cracks 0.25 to 0.75") in experiment_card(
        wide, points
    ).facts
    zero_shot = replace(wide, row=wide.row | {"policy": "at_0.5"})
    vars(zero_shot)["calibration"] = wide.calibration
    assert describe_ranges(zero_shot) == []


def test_a_recall_that_no_threshold_reaches_is_a_caveat(records):
    reached = [with_calibration(record, recall=0.9, value={"merged": 0.8}) for record in records]
    assert list(threshold_caveat(reached)) == []
    missed = with_calibration(records[0], recall=0.9, value={"pits": 0.8, "cracks": -0.1, "rust": None})
    (sentence,) = threshold_caveat([missed, *reached[1:]])
    assert sentence == f"No threshold has a recall of 0.9 on val, the highest recall was taken: {missed.name}."
