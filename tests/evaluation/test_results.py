"""The results table: its columns, its intervals, and what it refuses to put side by side."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import results as script
from evaluation_fixtures import CLASSES, constant_maps, make_dataset, noisy_maps, random_truth, write_run

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.report import NamesSettings, PairwiseSettings, ResultsSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.pairwise import pairwise_tables
from defectbench.evaluation.results import ResultsError, consolidate, write_results
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.files import read_json, write_json
from defectbench.script import UserError

FIRST = [
    "exp_id",
    "model",
    "subset_size",
    "variant",
    "prompt_type",
    "img_size",
    "batch_size",
    "steps",
    "lr",
    "wd",
    "seed",
    "val_mIoU",
    "val_Dice",
    "test_mIoU",
    "test_Dice",
    "IoU@50",
    "IoU@75",
    "IoU@90",
    "IoU@95",
    "Precision",
    "Recall",
    "F1",
    "AUPRC",
    "avg_inference_time",
    "ckpt_path",
    "timestamp",
    "track",
    "prompt_source",
    "dice_all",
    "threshold",
    "dice_all_lo",
    "dice_all_hi",
    "test_Dice_lo",
    "test_Dice_hi",
    "test_mIoU_lo",
    "test_mIoU_hi",
]


def make_experiment(dataset, folder, maps, has_scores=True, classes=(MERGED,), **run):
    """All files of a finished experiment."""
    folder.mkdir(parents=True)
    val, test = dataset.predict_both(maps, classes=classes, has_scores=has_scores)
    calibration = calibrate(val, CalibrateSettings())
    scores = score(val, test, calibration, ScoreSettings())
    digest = dataset.read().manifest.digest()
    metrics = summarise(scores, calibration, digest, ScoreSettings())
    names = ("per_image", "hist", "pooled_hist", "components", "froc")
    scores.write(*(folder / f"{name}.parquet" for name in names))
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "calibration.json", vars(calibration))
    write_run(folder, **run)
    return folder


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth(n=9))


@pytest.fixture
def folders(dataset, tmp_path):
    truth = dataset.truth
    return [
        make_experiment(dataset, tmp_path / "runs/unet_a", noisy_maps(truth, merged=True)),
        make_experiment(dataset, tmp_path / "runs/unet_b", noisy_maps(truth, merged=False), classes=CLASSES, subset=20),
        make_experiment(
            dataset, tmp_path / "runs/all_empty", constant_maps(truth, 0), False, track="reference", variant=""
        ),
    ]


def settings(folders, **keys):
    return ResultsSettings(experiments=folders, bootstrap_draws=200, **keys)


def edit(path, **changes):
    write_json(path, read_json(path) | changes)


def test_columns_begin_with_exactly_the_promised_ones(folders):
    columns = consolidate(settings(folders)).columns.tolist()
    assert columns[: len(FIRST)] == FIRST
    assert len(columns) == len(set(columns))
    for name in (
        *("iou_dataset", "dice_kaggle", "dice_kaggle_gain", "dice_kaggle_skill", "fp_image_rate", "fp_area_on_clean"),
        *("recall_at_fp_0.5", "recall_at_fp_1", "recall_at_fp_2", "image_accuracy", "image_F1", "boundary_f1"),
        *("cldice", "miou_with_background", "dice_all_at_0.5", "dice_all_pp", "dice_kaggle_pp", "val_dice_all"),
        *("prevalence", "n_pixels", "n_labels_train", "n_labels_val", "params_total", "params_trainable"),
        *("weights_bytes", "train_seconds", "infer_seconds_total", "infer_ms_p50", "infer_ms_p95"),
        *("peak_memory_train_bytes", "peak_memory_infer_bytes", "weights_source", "weights_sha256", "n_test"),
        *("n_test_defective", "test_ids_sha256", "data_digest", "code_digest", "metric_version", "device"),
        *("train_device", "match_iou"),
    ):
        assert name in columns


def test_every_value_comes_from_its_file(folders):
    table = consolidate(settings(folders)).set_index("exp_id")
    row, metrics = table.loc["unet_a"], read_json(folders[0] / "metrics.json")
    for name in ("dice_all", "test_mIoU", "val_Dice", "IoU@75", "AUPRC", "threshold", "fp_image_rate", "n_test"):
        assert row[name] == metrics[name]
    assert row[["batch_size", "steps", "lr", "wd", "seed"]].tolist() == [8, 120, 1e-4, 0.05, 42]
    assert row["images_seen"] == 960
    assert row["avg_inference_time"] == 0.0125
    assert row["ckpt_path"] == "runs/tiny/unet/unet_a/model/weights.safetensors"
    assert row["timestamp"] == "2026-11-21T06:00:00+00:00"
    assert table["subset_size"].tolist() == ["full", "20", "full"]
    assert json.loads(table.loc["unet_b", "thresholds"]) == read_json(folders[1] / "calibration.json")["threshold"]


def test_times_stand_beside_the_device_that_they_were_measured_on(folders):
    edit(folders[0] / "run.json", device="NVIDIA H100")
    edit(folders[1] / "run.json", device="NVIDIA H100", zero_shot=True)
    edit(folders[1] / "timing.json", device="mixed")
    table = consolidate(settings(folders))
    assert table["device"].tolist() == ["CPU", "mixed", "CPU"]
    assert [None if pd.isna(name) else name for name in table["train_device"]] == ["NVIDIA H100", None, "CPU"]


def test_the_load_of_the_machine_stands_beside_the_times_and_is_noted_if_other_work_ran(folders):
    edit(folders[0] / "timing.json", load=0.9)
    edit(folders[1] / "timing.json", load=2.34)
    table = consolidate(settings(folders))
    assert table["load"].tolist()[:2] == [0.9, 2.34]
    assert pd.isna(table["load"][2])
    assert ["timed while other work ran (load 2.3 per CPU)" in (note or "") for note in table["notes"].fillna("")] == [
        False,
        True,
        False,
    ]


def test_post_processing_is_named_where_any_was_chosen(folders):
    for chosen, expected in (({"a": "none", "b": "none"}, None), ({}, None), ({"a": "none", "b": "open 1"},) * 2):
        path = folders[0] / "metrics.json"
        write_json(path, read_json(path) | {"post_processing": chosen})
        found = consolidate(settings(folders))["post_processing"].iloc[0]
        assert (None if pd.isna(found) else json.loads(found)) == expected


def test_what_differs_between_folds_stands_on_the_row(folders):
    edit(folders[0] / "run.json", n_folds=5)
    with pytest.raises(ResultsError, match=r"cv\.json: no such file"):
        consolidate(settings(folders))
    mean, sd = {"dice_all": 0.75, "mIoU": 0.5}, {"dice_all": 0.125, "mIoU": None}
    write_json(folders[0] / "cv.json", {"n_folds": 5, "mean": mean, "sd": sd})
    table = consolidate(settings(folders))
    row = table.loc[0, ["cv_folds", "cv_dice_all_mean", "cv_dice_all_sd", "cv_mIoU_mean"]]
    assert row.tolist() == [5, 0.75, 0.125, 0.5]
    assert pd.isna(table.loc[0, "cv_mIoU_sd"])
    assert table.loc[1:, "cv_folds"].isna().all()


def test_batches_taken_in_parts_are_noted(folders):
    edit(folders[0] / "run.json", batch_parts=2, notes=["from scratch"])
    edit(folders[1] / "run.json", batch_parts=1)
    first, *others = consolidate(settings(folders))["notes"]
    assert first.startswith("from scratch; batches in 2 parts with accumulated gradients")
    assert pd.isna(others).all()


def test_what_a_search_found_stands_on_the_row(folders):
    found = "lr 0.03: found by a search, best of 4 on val"
    first, *others = consolidate(settings(folders), NamesSettings(searched={"unet_a": found}))["searched"]
    assert first == found
    assert pd.isna(others).all()


def test_a_row_says_what_is_wrong_with_its_training_and_that_nothing_is_predicted(dataset, folders, tmp_path):
    silent = make_experiment(dataset, tmp_path / "runs/silent", constant_maps(dataset.truth, 0))
    zero_shot = make_experiment(dataset, tmp_path / "runs/zero_shot", constant_maps(dataset.truth, 0))
    edit(silent / "run.json", problems=["val_iou_fixed was 0"], settings={"lr": 2e-4, "sampler": "shuffle"})
    edit(zero_shot / "run.json", settings={"tune": "none"})
    edit(folders[1] / "run.json", problems=["the training made the network worse"])
    found = consolidate(settings([*folders, silent, zero_shot])).set_index("exp_id")["problems"]
    # Predicting nothing is what all_empty is for.
    assert found[["unet_a", "all_empty"]].isna().all()
    assert found["unet_b"] == "the training made the network worse"
    assert found["silent"].startswith("val_iou_fixed was 0; no pixel of any test image is predicted. To change: ")
    assert "another lr (now 0.0002), sampler: balanced" in found["silent"]
    assert found["zero_shot"].endswith("other prompts or phrases, or a fine-tuned model")


def test_what_does_not_apply_is_null_never_zero(folders):
    table = consolidate(settings(folders)).set_index("exp_id")
    assert table.loc["all_empty", ["Precision", "AUPRC", "dice_kaggle", "peak_memory_train_bytes"]].isna().all()
    assert pd.isna(table.loc["unet_b", "threshold"])
    assert table.loc["all_empty", "F1"] == 0
    assert table.loc["all_empty", ["boundary_f1", "cldice"]].eq(0).all()
    assert pd.isna(table.loc["all_empty", "recall_at_fp_1"])
    later = [name for name in table if name.endswith("_calibrated")]
    assert table[later].isna().all(axis=None)


def test_reference_methods_may_leave_out_what_they_do_not_have(folders):
    run = read_json(folders[2] / "run.json")
    kept = {"experiment": run["experiment"], "settings": None, "weights_path": None}
    write_json(folders[2] / "run.json", kept)
    row = consolidate(settings(folders)).set_index("exp_id").loc["all_empty"]
    assert row[["batch_size", "lr", "steps", "params_total", "ckpt_path", "timestamp"]].isna().all()
    assert row["device"] == "CPU"


def test_both_files_hold_the_same_table(folders, tmp_path):
    table = consolidate(settings(folders))
    write_results(table, tmp_path / "results.csv", tmp_path / "results.parquet")
    parquet, csv = pd.read_parquet(tmp_path / "results.parquet"), pd.read_csv(tmp_path / "results.csv")
    assert parquet.columns.tolist() == csv.columns.tolist() == table.columns.tolist()
    pd.testing.assert_frame_equal(parquet, table)
    numbers = [name for name in table if table[name].dtype == float]
    assert np.array_equal(csv[numbers].to_numpy(float), table[numbers].to_numpy(), equal_nan=True)


def test_the_table_depends_on_the_files_contents_alone(folders, tmp_path):
    write_results(consolidate(settings(folders)), tmp_path / "a.csv", tmp_path / "a.parquet")
    moved = [tmp_path / "elsewhere" / folder.name for folder in folders]
    for source, target in zip(folders, moved, strict=True):
        shutil.copytree(source, target)
    write_results(consolidate(settings(moved)), tmp_path / "b.csv", tmp_path / "b.parquet")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("column", "other"), [("test_ids_sha256", "x"), ("data_digest", "x"), ("metric_version", 999), ("match_iou", 0.3)]
)
def test_experiments_of_one_track_must_be_comparable(folders, column, other):
    edit(folders[1] / "metrics.json", **{column: other})
    with pytest.raises(ResultsError, match=rf"(?s)automatic track.*different {column}.*unet_a.*unet_b"):
        consolidate(settings(folders))
    assert len(consolidate(settings([folders[1], folders[2]]))) == 2


def test_the_iou_from_which_components_match_stands_on_the_row(folders):
    assert consolidate(settings(folders))["match_iou"].tolist() == [0.5] * 3


def test_a_model_of_other_data_than_its_metrics_is_refused(folders):
    digest = read_json(folders[0] / "metrics.json")["data_digest"]
    edit(folders[0] / "run.json", data_digest=digest)
    assert consolidate(settings(folders))["data_digest"].nunique() == 1
    edit(folders[0] / "run.json", data_digest="0ld")
    with pytest.raises(
        ResultsError, match=rf"unet_a: run\.json is of data 0ld, metrics\.json of {digest[:12]}.* again"
    ):
        consolidate(settings(folders))


@pytest.mark.parametrize("metric", ["dice_all", "test_Dice", "test_mIoU"])
def test_metrics_that_are_not_the_mean_of_the_images_are_refused(folders, metric):
    value = read_json(folders[0] / "metrics.json")[metric]
    edit(folders[0] / "metrics.json", **{metric: value + 1e-6})
    with pytest.raises(ResultsError, match=rf"unet_a: {metric} is {value + 1e-6:.6f} in metrics\.json.*score again"):
        consolidate(settings(folders))
    edit(folders[0] / "metrics.json", **{metric: value})
    shutil.copy(folders[1] / "per_image.parquet", folders[0] / "per_image.parquet")
    with pytest.raises(ResultsError, match=r"not of the same scoring"):
        consolidate(settings(folders))


def test_missing_files_repeated_experiments_and_stale_metrics_are_named(folders):
    with pytest.raises(ResultsError, match="listed more than once: unet_a"):
        consolidate(settings([folders[0], folders[0]]))
    edit(folders[0] / "calibration.json", threshold={MERGED: 0.123})
    with pytest.raises(ResultsError, match="do not belong together"):
        consolidate(settings(folders))
    for name in ("timing.json", "per_image.parquet"):
        (folders[1] / name).unlink()
        with pytest.raises(UserError, match=rf"unet_b/{name}: no such file"):
            consolidate(settings(folders[1:]))
        shutil.copy(folders[2] / name, folders[1] / name)


def test_the_script_writes_both_files(folders, tmp_path, capsys):
    settings(folders).write(tmp_path / "results.yaml")
    paths = {"settings": tmp_path / "results.yaml", "csv": tmp_path / "o.csv", "parquet": tmp_path / "o.parquet"}
    script.main([text for name, path in paths.items() for text in (f"--{name}", str(path))])
    assert "3 experiments (2 automatic, 1 reference)" in capsys.readouterr().out
    assert len(pd.read_csv(paths["csv"])) == 3


# --- intervals ------------------------------------------------------------------------------------------------------


def test_seeds_of_one_experiment_share_its_name_and_groups_are_counted(folders):
    table = consolidate(settings(folders, experiment_of={"unet_a": "unet_s1+2", "unet_b": "unet_s1+2"}))
    assert table["experiment"].tolist() == ["unet_s1+2", "unet_s1+2", "all_empty"]
    assert table["n_test_groups"].tolist() == [9, 9, 9]


def test_the_table_and_the_folders_are_all_that_the_tests_need(folders):
    table = consolidate(settings(folders))
    tests = pairwise_tables(table, PairwiseSettings(experiments=folders)).pairwise
    assert tests["kind"].tolist() == ["vs_best", "vs_reference"]
    assert set(tests["claim"]) == {"too few groups"}
    dice = table.set_index("experiment")["dice_all"]
    assert tests["difference"].tolist() == pytest.approx(
        list(100 * (dice[tests["a"]].values - dice[tests["b"]].values))
    )


def test_intervals_enclose_the_metrics(folders):
    table = consolidate(settings(folders))
    for name in ("dice_all", "test_Dice", "test_mIoU"):
        assert (table[f"{name}_lo"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_hi"]).all()


def test_rows_have_the_names_of_the_configuration_and_ids_with_all_settings(folders):
    names = NamesSettings(names={"unet_a": "baseline"}, unabridged_ids={"unet_b": "unet_b_lr-0.1"})
    table = consolidate(settings(folders), names).set_index("exp_id")
    plain = consolidate(settings(folders)).set_index("exp_id")
    assert table["name"].to_dict() == {exp_id: "baseline" if exp_id == "unet_a" else exp_id for exp_id in table.index}
    assert table.loc["unet_b", "unabridged_id"] == "unet_b_lr-0.1"
    assert plain["name"].tolist() == plain["unabridged_id"].tolist() == plain.index.tolist()
    new = ["name", "unabridged_id", "prompt_source_name"]
    pd.testing.assert_frame_equal(table.drop(columns=new), plain.drop(columns=new))
