"""Operating points: thresholds of val alone, rates and exact intervals of test, costs, and what val cannot support."""

import numpy as np
import operating_points as script
import pandas as pd
import pytest
from scipy.stats import beta

from defectbench.config.report import CostSettings, OperatingPointsSettings
from defectbench.evaluation.operating_points import COLUMNS, operating_points
from defectbench.files import write_json


def write_experiment(folder, val, test, has_scores=True, groups=None):
    """per_image.parquet of images (score, defective) of each role, a group of its own for each unless given."""
    rows = []
    for role, images in (("val", val), ("test", test)):
        for i, (code, defective) in enumerate(images):
            group = groups[i] if groups and role == "test" else f"g{i}"
            rows.append({"role": role, "image_id": f"{role}{i:04}", "group": group, "max_code": code})
            rows[-1] |= {"n_truth": 7 * defective, "class": "merged", "policy": "calibrated"}
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "per_image.parquet")
    write_json(folder / "metrics.json", {"has_scores": has_scores})
    return folder


def points_of(folder, **settings):
    return operating_points(OperatingPointsSettings(experiments=[folder], **settings)).set_index("point")


def images(seed, n_clean, n_defective):
    rng = np.random.default_rng(seed)
    clean, defective = rng.normal(30000, 2000, n_clean), rng.normal(34000, 2500, n_defective)
    return [(int(c), False) for c in clean] + [(int(c), True) for c in defective]


def exact_interval(k, n):
    """Clopper and Pearson, 1934."""
    return (beta.ppf(0.025, k, n - k + 1) if k else 0, beta.ppf(0.975, k + 1, n - k) if k < n else 1)


def test_thresholds_are_of_val_and_rates_of_test(tmp_path):
    val, test = images(1, 80, 120), images(2, 70, 90)
    points = points_of(write_experiment(tmp_path / "a", val, test))
    assert points.index.tolist() == ["escape_0", "escape_1", "escape_2", "escape_5"]
    defective = sorted(code for code, is_defective in val if is_defective)
    for percent, n_missed in ((0, 0), (1, 1), (2, 2), (5, 6)):
        row = points.loc[f"escape_{percent}"]
        assert row["threshold_code"] == defective[n_missed]
        assert row["threshold"] == pytest.approx(1 / (1 + np.exp((32768 - defective[n_missed]) / 512)))
        assert row["escape_val"] == pytest.approx(n_missed / 120)
        assert row["overkill_val"] == pytest.approx(np.mean([c >= defective[n_missed] for c, d in val if not d]))
        assert row["overkill"] == pytest.approx(np.mean([c >= defective[n_missed] for c, d in test if not d]))
        assert row["escape"] == pytest.approx(np.mean([c < defective[n_missed] for c, d in test if d]))
    assert points[["n_val_clean", "n_val_defective", "n_test_clean", "n_test_defective"]].iloc[0].tolist() == [
        80,
        120,
        70,
        90,
    ]
    assert points["cost"].isna().all()
    assert points["supported"].all()
    other = points_of(write_experiment(tmp_path / "b", val, images(3, 9, 9)))
    assert other["threshold_code"].tolist() == points["threshold_code"].tolist()


def test_intervals_are_exact_where_every_image_stands_alone_and_wider_in_groups(tmp_path):
    val, test = images(1, 80, 120), images(2, 70, 90)
    alone = points_of(write_experiment(tmp_path / "a", val, test), bootstrap_draws=20_000)
    for _, row in alone.iterrows():
        for rate, n in (("overkill", 70), ("escape", 90)):
            expected = exact_interval(round(row[rate] * n), n)
            assert (row[f"{rate}_lo"], row[f"{rate}_hi"]) == pytest.approx(expected, abs=0.01)
    test = sorted(test, key=lambda image: (image[1], image[0]))
    groups = [f"g{i // 5}" for i in range(160)]
    grouped = points_of(write_experiment(tmp_path / "b", val, test, groups=groups), bootstrap_draws=20_000)
    assert (grouped["overkill"] == alone["overkill"]).all()
    assert (grouped["overkill_hi"] - grouped["overkill_lo"] > 1.3 * (alone["overkill_hi"] - alone["overkill_lo"])).all()


def test_a_share_of_less_than_one_val_image_is_said_so(tmp_path):
    points = points_of(write_experiment(tmp_path / "a", images(1, 40, 58), images(2, 20, 20)))
    assert points["supported"].tolist() == [True, False, True, True]
    assert (
        points.loc["escape_1", "note"] == "1 % of 58 defective val images is less than one: none may escape, as at 0 %"
    )
    assert points.loc["escape_1", "threshold_code"] == points.loc["escape_0", "threshold_code"]
    assert (points.loc[points["supported"], "note"] == "").all()


@pytest.mark.parametrize("share", [None, 0.98])
def test_the_least_cost_is_that_of_a_search_on_val(tmp_path, share):
    val, test = images(1, 80, 120), images(2, 70, 30)
    costs = CostSettings(escape=40, overkill=3)
    points = points_of(write_experiment(tmp_path / "a", val, test), costs=costs, clean_share=share)

    def cost(threshold, pairs):
        clean, defective = ([c for c, d in pairs if d == kind] for kind in (False, True))
        weight = len(clean) / len(pairs) if share is None else share
        overkill, escape = np.mean([c >= threshold for c in clean]), np.mean([c < threshold for c in defective])
        return 1000 * (weight * overkill * 3 + (1 - weight) * escape * 40)

    best = points.loc["least_cost"]
    assert cost(best["threshold_code"], val) == pytest.approx(
        min(cost(c, val) for c in range(20000, 45000, 10)), rel=0.02
    )
    assert cost(best["threshold_code"], val) <= min(cost(c, val) for c, _ in val) + 1e-9
    for _, row in points.iterrows():
        assert row["cost"] == pytest.approx(cost(row["threshold_code"], test))
        assert row["clean_share"] == (0.7 if share is None else share)


def test_experiments_without_scores_or_with_one_kind_of_images_have_no_points(tmp_path):
    both, clean = images(1, 40, 40), images(2, 20, 0)
    folders = [
        write_experiment(tmp_path / "silent", both, both, has_scores=False),
        write_experiment(tmp_path / "oracle", images(2, 0, 30), images(3, 0, 30)),
        write_experiment(tmp_path / "clean", both, clean),
    ]
    table = operating_points(OperatingPointsSettings(experiments=folders))
    assert table.empty
    assert table.columns.tolist() == list(COLUMNS)


def test_the_script_writes_what_can_be_read_again(tmp_path, capsys):
    folder = write_experiment(tmp_path / "a", images(1, 80, 120), images(2, 70, 90))
    settings = OperatingPointsSettings(
        experiments=[folder], costs=CostSettings(escape=100, overkill=1), clean_share=0.9
    )
    settings.write(tmp_path / "settings.yaml")
    script.main(["--settings", str(tmp_path / "settings.yaml"), "--points", str(tmp_path / "points.csv")])
    read = pd.read_csv(tmp_path / "points.csv", keep_default_na=False, na_values={"cost": ""})
    pd.testing.assert_frame_equal(read, operating_points(settings), check_dtype=False)
    assert "1 experiments" in capsys.readouterr().out
