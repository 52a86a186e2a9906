"""Disk that a plan expects, against the files that the stages really write."""

import io
import shutil

import numpy as np
import pytest
from evaluation_fixtures import make_dataset, noisy_maps, random_truth
from plan import main as plan
from tiny_packs import write_packs

from defectbench.data.manifest import write_manifest
from defectbench.data.write_packs import pack_tiles
from defectbench.reporting.disk import BITS_PER_PIXEL, estimate_disk, planned_files

UNET = "runs/steel/unet/new_s42"
DRY_RUN = f"""
rule pack:
    input: runs/steel/manifest.parquet
    output: runs/steel/packed/images.bin, runs/steel/packed/images.parquet
    jobid: 1
    benchmark: runs/steel/benchmarks/pack.tsv

rule predict_unet:
    input: a
    output: {UNET}/val.pred.parquet.sha256, {UNET}/val.pred.parquet, {UNET}/test.pred.parquet, {UNET}/timing.json
    jobid: 2
    benchmark: {UNET}/benchmarks/predict_unet.tsv
"""
PREDICTIONS = [f"{UNET}/val.pred.parquet", f"{UNET}/test.pred.parquet"]


def test_files_of_a_dry_run_are_its_outputs():
    assert planned_files(DRY_RUN) == [
        "runs/steel/packed/images.bin",
        "runs/steel/packed/images.parquet",
        f"{UNET}/val.pred.parquet.sha256",
        *PREDICTIONS,
        f"{UNET}/timing.json",
    ]


def test_packs_take_what_they_will(tmp_path):
    manifest = write_packs(tmp_path, (37, 53), (slice(3, 9), slice(5, 20)), ["train"] * 6)
    runs = tmp_path / "runs/steel"
    write_manifest(runs / "manifest.parquet", manifest)
    pack_tiles(tmp_path / "packed", tmp_path / "packed/tiles_16x24_s10", (16, 24), 10)
    for name in ("images.bin", "masks.bin", "tiles_16x24_s10/images.bin", "tiles_16x24_s10/masks.bin"):
        row = estimate_disk(tmp_path, [f"runs/steel/packed/{name}"]).loc[""]
        assert row["bytes"] == (tmp_path / "packed" / name).stat().st_size
        assert row["unknown"] == 0


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "runs/steel", random_truth(n=9))


def n_pixels(dataset, *roles):
    return sum(masks[0].size for role in roles for masks in dataset.truth[role].values())


def test_predictions_have_the_maps_of_the_task_and_the_pixels_of_their_role(tmp_path, dataset):
    for task, maps in (("merged", 1), ("per_class", 2)):
        settings = tmp_path / UNET / "settings/train.yaml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(f"task: {task}\n")
        for role in ("val", "test"):
            for folder in (UNET, f"{UNET}/fold1"):
                found = estimate_disk(tmp_path, [f"{folder}/{role}.pred.parquet"]).loc["unet", "bytes"]
                assert found == pytest.approx(n_pixels(dataset, role) * maps * BITS_PER_PIXEL / 8)


def test_predictions_are_expected_to_compress_as_those_of_the_family_did(tmp_path, dataset):
    path = dataset.predict("test", noisy_maps(dataset.truth, merged=True)["test"])
    past = tmp_path / "runs/rail/unet/old_s1"
    past.mkdir(parents=True)
    shutil.move(path, past / "test.pred.parquet")
    size = (past / "test.pred.parquet").stat().st_size
    table = estimate_disk(tmp_path, [PREDICTIONS[1], "runs/steel/sam2/x_s1/test.pred.parquet"])
    assert table.loc["unet", "bytes"] == pytest.approx(size)
    assert table.loc["sam2", "bytes"] == pytest.approx(n_pixels(dataset, "test") * BITS_PER_PIXEL / 8)


def test_weights_are_those_of_the_median_training_with_its_checkpoints(tmp_path):
    for name, size in (("a_s1", 1000), ("b_s1", 3000), ("c_s1", 9000)):
        for file in ("model/weights.safetensors", "checkpoints/last.safetensors"):
            path = tmp_path / "runs/rail/unet" / name / file
            path.parent.mkdir(parents=True)
            path.write_bytes(bytes(size))
    weights = "model/weights.safetensors"
    paths = [f"{UNET}/{weights}", f"{UNET}/{weights}.sha256", f"runs/steel/sam2/x_s1/{weights}"]
    table = estimate_disk(tmp_path, paths)
    assert table.loc["unet"].tolist() == [6000, 0]
    assert np.isnan(table.loc["sam2", "bytes"])
    assert table.loc["sam2", "unknown"] == 1


def test_what_is_not_known_is_counted_not_guessed(tmp_path):
    table = estimate_disk(tmp_path, planned_files(DRY_RUN))
    assert table["bytes"].isna().all()
    assert table["unknown"].to_dict() == {"": 1, "unet": 2}


def test_the_plan_says_the_disk(tmp_path, dataset, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(DRY_RUN))
    monkeypatch.setattr("plan.GB", 1)
    plan(["--top", str(tmp_path)])
    text = capsys.readouterr().out
    pixels = n_pixels(dataset, *dataset.truth)
    needed = pixels + n_pixels(dataset, "val", "test") * BITS_PER_PIXEL / 8
    assert f"{needed:.1f} GB" in next(line for line in text.splitlines() if line.startswith("all"))
    assert "not counted" not in text
    (tmp_path / "runs/steel/split.csv").unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO(DRY_RUN))
    plan(["--top", str(tmp_path)])
    assert "2 of them are not counted" in capsys.readouterr().out
