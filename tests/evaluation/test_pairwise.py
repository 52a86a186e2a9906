"""pairwise.csv: which comparisons are declared, and that its numbers are those of the scores per image."""

import numpy as np
import pairwise as script
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from defectbench.config.base import ConfigError
from defectbench.config.report import PairwiseSettings
from defectbench.config.study import load_study
from defectbench.evaluation.image_scores import ScoresError
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.pairwise import (
    PAIRWISE,
    best_on_val,
    compare_on_common_val,
    declared_pairs,
    pairwise_tables,
)

N = 120
GROUPS = np.repeat(np.arange(60), 2)


def write_scores(folder, hits, defective, groups=GROUPS):
    """per_image.parquet of images of 100 defect pixels, of which ``hits`` are found; clean images stay clean."""
    found = np.where(defective, hits, 0)
    rows = pd.DataFrame({"image_id": [f"{i:03d}" for i in range(N)], "group": [f"g{g}" for g in groups]})
    rows = rows.assign(tp=found, fp=0, fn=np.where(defective, 100 - found, 0), n_pixels=10_000)
    keys = {"role": "test", "class": "merged", "policy": "calibrated"}
    other = rows.assign(**{**keys, "role": "val"}, tp=0)
    folder.mkdir(parents=True)
    pd.concat([rows.assign(**keys), other]).sample(frac=1, random_state=1).to_parquet(folder / "per_image.parquet")
    return 2 * found / np.where(defective, 100 + found, 1) + ~defective


@pytest.fixture
def study(tmp_path):
    """Two seeds of a, one of b and c, a reference, two oracle experiments; c is best on test, a on val."""
    rng = np.random.default_rng(0)
    defective = rng.random(N) < 0.7
    rows, dice = [], {}
    for exp_id, experiment, track, level, val in (
        ("a_s1", "a_s1+2", "automatic", 60, 0.8),
        ("a_s2", "a_s1+2", "automatic", 62, 0.9),
        ("b_s1", "b_s1", "automatic", 40, 0.7),
        ("c_s1", "c_s1", "automatic", 64, 0.84),
        ("empty_s1", "empty_s1", "reference", 0, 0.3),
        ("p_s1", "p_s1", "oracle", 80, 0.9),
        ("q_s1", "q_s1", "oracle", 90, 0.95),
    ):
        hits = np.clip(level + rng.integers(-9, 10, N), 0, 100) if level else np.zeros(N, int)
        dice[exp_id] = write_scores(tmp_path / exp_id, hits, defective)
        labels = None if track == "reference" else 100
        rows.append((exp_id, experiment, track, "calibrated", val, val, labels, None))
    columns = ["exp_id", "experiment", "track", "policy", "val_dice_all", "val_Dice", "n_labels_train", "cv_folds"]
    settings = PairwiseSettings(experiments=[tmp_path / row[0] for row in rows], ablations=[("b_s1", "c_s1")])
    return pd.DataFrame(rows, columns=columns), settings, dice, defective


def test_each_is_compared_with_the_best_on_val_and_ablations_come_once(study):
    results, *_ = study
    pairs = declared_pairs(results, (("b_s1", "c_s1"), ("c_s1", "b_s1"), ("a_s2", "b_s1")))
    assert [(pair.track, pair.a, pair.b, pair.kind) for pair in pairs] == [
        ("automatic", "a_s1+2", "b_s1", "vs_best"),
        ("automatic", "a_s1+2", "c_s1", "vs_best"),
        ("automatic", "a_s1+2", "empty_s1", "vs_reference"),
        ("oracle", "q_s1", "p_s1", "vs_best"),
        ("automatic", "b_s1", "c_s1", "ablation"),
    ]
    with pytest.raises(ScoresError, match=r"b_s1 \(automatic\) and p_s1 \(oracle\): tracks are never mixed"):
        declared_pairs(results, (("b_s1", "p_s1"),))


def test_test_scores_have_no_say_in_who_is_the_best(study):
    results, *_ = study
    assert best_on_val(results[results["track"] == "automatic"].assign(dice_all=0), "dice_all") == "a_s1+2"


def test_rows_are_those_of_the_scores_per_image(study):
    results, settings, dice, defective = study
    table = pairwise_tables(results, settings).pairwise
    assert table.columns.tolist() == list(PAIRWISE)
    row = table[(table["a"] == "a_s1+2") & (table["b"] == "b_s1")].iloc[0]
    a, b = (dice["a_s1"] + dice["a_s2"]) / 2, dice["b_s1"]
    groups = (a - b).reshape(60, 2).mean(axis=1)
    assert (row["n_images"], row["n_groups"], row["metric"]) == (N, 60, "dice_all")
    assert (row["mean_a"], row["mean_b"]) == pytest.approx((a.mean(), b.mean()))
    assert row["difference"] == pytest.approx(100 * (a - b).mean())
    assert row["relative_difference"] == pytest.approx((a.mean() - b.mean()) / b.mean())
    assert row["p_wilcoxon"] == pytest.approx(wilcoxon(groups.round(12), zero_method="pratt").pvalue)
    draws = GroupBootstrap(GROUPS, settings.bootstrap_draws, settings.bootstrap_seed)
    assert row["p_mean"] == pytest.approx(2 * min(draws.studentised(*draws.totals(a - b)).p_values()))
    assert row["p"] == max(row["p_wilcoxon"], row["p_mean"])
    assert row["difference_lo"] < row["difference"] < row["difference_hi"]
    np.testing.assert_allclose(table["p_holm"], multipletests(table["p"], method="holm")[1])
    assert row["n_groups_differ"] == np.count_nonzero(groups.round(12))
    assert row[["n_seeds_a", "n_seeds_b"]].tolist() == [2, 1]
    assert np.isnan(row["p_seeds"]), "with one training of b, nothing is known of its chance"
    assert table["claim"].tolist() == ["a better", "b better", "a better", "b better", "a better"]
    oracle = table[table["track"] == "oracle"].iloc[0]
    assert (oracle["metric"], oracle["n_images"]) == ("test_Dice", defective.sum())
    assert oracle["mean_a"] == pytest.approx(dice["q_s1"][defective].mean())


def test_a_large_study_has_draws_enough_for_claims(study):
    results, settings, *_ = study
    few = settings.model_copy(update={"bootstrap_draws": 100})
    tables = pairwise_tables(results, few)
    # The least p of 100 draws, 2/101, is above 0.05 after Holm's correction for five comparisons.
    assert tables.pairwise["p"].min() == pytest.approx(2 / (200 * 5 + 1))
    assert tables.pairwise["claim"].tolist() == pairwise_tables(results, settings).pairwise["claim"].tolist()


def test_ranks_and_seeds_are_of_whole_experiments(study):
    results, settings, dice, _ = study
    tables = pairwise_tables(results, settings)
    automatic = tables.ranks[tables.ranks["track"] == "automatic"].set_index("experiment")
    assert automatic["rank"].to_dict() == {"a_s1+2": 2, "b_s1": 3, "c_s1": 1}
    assert automatic["p_best"].sum() == pytest.approx(1)
    assert (automatic["rank_lo"] <= automatic["rank_median"]).all()
    (seeds,) = tables.seeds.to_dict("records")
    means = [dice[f"a_s{seed}"].mean() for seed in (1, 2)]
    assert (seeds["experiment"], seeds["n_seeds"], seeds["mean"]) == ("a_s1+2", 2, pytest.approx(np.mean(means)))
    assert seeds["sd"] == pytest.approx(np.std(means, ddof=1))
    assert automatic["n_seeds"].to_dict() == {"a_s1+2": 2, "b_s1": 1, "c_s1": 1}
    assert automatic.loc["a_s1+2", ["mean", "sd"]].tolist() == pytest.approx([seeds["mean"], seeds["sd"]])
    assert (automatic["mean_lo"] < automatic["mean"]).all()
    assert (automatic["n_groups"] == automatic["effective_groups"]).all(), "all groups have two images"


def test_an_equal_passes_as_not_worse_and_the_worse_does_not(study):
    results, settings, *_ = study
    asked = pairwise_tables(results, settings.model_copy(update={"margin": 0.15})).pairwise.set_index(["a", "b"])
    assert asked.loc[("a_s1+2", "c_s1"), "not_worse"]
    assert not asked.loc[("a_s1+2", "b_s1"), "not_worse"]
    assert asked.loc[("a_s1+2", "c_s1"), "margin"] == 15
    assert asked.loc[("a_s1+2", "empty_s1"), ["margin", "not_worse"]].isna().all(), "a reference is not asked"
    p = asked[["p", "p_not_worse"]]
    assert (p["p_not_worse"].dropna() > 0).all()
    unasked = pairwise_tables(results, settings).pairwise
    assert unasked[["margin", "p_not_worse", "not_worse"]].isna().all(axis=None)


def test_what_a_difference_takes_is_said_where_none_is_claimed(study, tmp_path):
    results, _, _, defective = study
    two = results[results["exp_id"].isin(["b_s1", "c_s1"])]
    rng = np.random.default_rng(3)
    for exp_id, level in (("b_s1", 64), ("c_s1", 60)):
        write_scores(tmp_path / "near" / exp_id, np.clip(level + rng.integers(-30, 31, N), 0, 100), defective)
    near = PairwiseSettings(experiments=[tmp_path / "near" / exp_id for exp_id in two["exp_id"]])
    (row,) = pairwise_tables(two, near).pairwise.to_dict("records")
    assert row["claim"] == "no claim"
    assert row["smallest_difference"] > abs(row["difference"])
    assert row["images_needed"] > N


def test_experiments_are_chosen_by_scores_of_the_same_val_images(study, tmp_path):
    """A cross-validated experiment has scores of train images, too, which may be easier."""
    results, _, _, defective = study
    two = results[results["exp_id"].isin(["b_s1", "c_s1"])].assign(cv_folds=[None, 5], val_dice_all=[0.7, 0.9])
    folders = {}
    for exp_id, of_val, others in (("b_s1", 60, None), ("c_s1", 50, 99)):
        folders[exp_id] = tmp_path / "cv" / exp_id
        write_scores(folders[exp_id], np.full(N, of_val), defective)
        rows = pd.read_parquet(folders[exp_id] / "per_image.parquet")
        rows = rows[rows["role"] == "test"].assign(role="val")
        if others is not None:
            extra = rows.assign(image_id="t" + rows["image_id"], tp=others * (rows["tp"] > 0), fn=0)
            rows = pd.concat([rows, extra])
        rows.to_parquet(folders[exp_id] / "per_image.parquet")
    assert best_on_val(two, "dice_all") == "c_s1"
    common = compare_on_common_val(two, folders)
    assert best_on_val(common, "dice_all") == "b_s1"
    dice = 2 * 60 / 160, 2 * 50 / 150
    expected = [(defective * value + ~defective).mean() for value in dice]
    assert common["val_dice_all"].tolist() == pytest.approx(expected)
    rows = pd.read_parquet(folders["c_s1"] / "per_image.parquet")
    rows[rows["image_id"].str.startswith("t")].to_parquet(folders["c_s1"] / "per_image.parquet")
    assert compare_on_common_val(two, folders)["val_dice_all"].isna().tolist() == [False, True]


def test_few_groups_make_no_claims_and_other_images_are_refused(study, tmp_path):
    results, settings, _, defective = study
    two = results[results["exp_id"].isin(["b_s1", "c_s1"])]
    for index, exp_id in enumerate(two["exp_id"]):
        folder = tmp_path / "few" / exp_id
        write_scores(folder, np.full(N, 40 + 40 * index), defective, groups=np.arange(N) % 19)
    few = PairwiseSettings(experiments=[tmp_path / "few" / exp_id for exp_id in two["exp_id"]])
    assert pairwise_tables(two, few).pairwise["claim"].tolist() == ["too few groups"]
    mixed = PairwiseSettings(experiments=[settings.experiments[2], tmp_path / "few" / "c_s1"])
    with pytest.raises(ScoresError, match="other test images or groups"):
        pairwise_tables(two, mixed)


def test_one_experiment_has_no_comparisons(study):
    results, settings, *_ = study
    table = pairwise_tables(results[results["exp_id"] == "b_s1"], settings.model_copy(update={"ablations": ()}))
    assert table.pairwise.empty
    assert table.ranks["p_best"].tolist() == [1]


def test_the_script_writes_the_same_tables_every_time(study, tmp_path, capsys):
    results, settings, *_ = study
    settings.write(tmp_path / "pairwise.yaml")
    results.to_parquet(tmp_path / "results.parquet")
    fixed = ["--settings", str(tmp_path / "pairwise.yaml"), "--results", str(tmp_path / "results.parquet")]
    for run in ("first", "second"):
        outputs = [f"--{name}={tmp_path / run / name}.csv" for name in ("pairwise", "ranks", "seeds")]
        script.main([*fixed, *outputs])
    assert "5 comparisons (3 a better, 2 b better)" in capsys.readouterr().out
    for name in ("pairwise", "ranks", "seeds"):
        assert (tmp_path / f"first/{name}.csv").read_bytes() == (tmp_path / f"second/{name}.csv").read_bytes()


def config(**report):
    dataset = {"name": "d", "format": "severstal_csv", "root": "data", "classes": {1: "a"}, "synthetic": {}}
    return {"dataset": dataset | {"synthetic": {"n_images": 10}}, "report": report} | {
        "experiments": [{"model": "unet", "encoder": "resnet18", "subset": [50, "full"], "seed": [2, 1]}]
    }


def test_ablations_must_name_experiments_that_differ():
    ids = [f"unet-resnet18_{subset}_none_native_s{seed}" for subset in (50, "full") for seed in (1, 2)]
    assert load_study(config(ablations=[[ids[0], ids[2]]])).report.ablations == ((ids[0], ids[2]),)
    with pytest.raises(ConfigError) as error:
        load_study(config(ablations=[[ids[0], "unet-resnet18_50_none_native_s3"], [ids[0], ids[1]]]))
    assert len(error.value.problems) == 2
    assert error.value.problems[0].startswith("report.ablations.0: no experiment 'unet-resnet18_50_none_native_s3'")
    assert "differ in nothing but the seed" in error.value.problems[1]


def test_ablations_compare_maps_of_one_track():
    values = config()
    values["experiments"] += [{"model": "yolov8"}, {"model": "sam2", "init": "random", "prompt": ["box", "points"]}]
    ids = [found.exp_id for found in load_study(values).experiments]
    unet, boxes, oracle, other = ids[0], *ids[-3:]
    values["experiments"] += [{"model": "ensemble", "members": [oracle, other]}]
    mean = load_study(values).experiments[-1].exp_id
    assert load_study(values | {"report": {"ablations": [[oracle, other], [oracle, mean]]}})
    with pytest.raises(ConfigError) as error:
        load_study(values | {"report": {"ablations": [[unet, boxes], [unet, oracle], [mean, unet]]}})
    detector, crossed, of_mean = error.value.problems
    assert detector == f"report.ablations.0: {boxes} is a detector: its scores are not of maps"
    for problem in (crossed, of_mean):
        assert "tracks are never mixed" in problem
    assert of_mean.startswith(f"report.ablations.2: one of {mean} and {unet}")


def test_seeds_of_a_study_share_a_name():
    assert load_study(config()).experiment_of() == {
        f"unet-resnet18_{subset}_none_native_s{seed}": f"unet-resnet18_{subset}_none_native_s1+2"
        for subset in (50, "full")
        for seed in (1, 2)
    }
