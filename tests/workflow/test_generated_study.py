"""A study that `make study` wrote for a folder, run to its results."""

import pandas as pd
import pytest
import yaml
from study_folders import N_CLEAN, N_IMAGES, make_study, write_mask_folder
from tiny_study import Project

pytestmark = pytest.mark.slow
EXPERIMENTS = [
    {"model": "unet", "encoder": "tu-test_resnet", "batch_size": 4, "steps": 4, "eval_every": 2, "threads": 1},
    {"model": "all_full"},
]
"""Instead of those that it proposes, which train for hours."""


def test_a_generated_study_runs_to_its_results(tmp_path, monkeypatch):
    project = Project(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    generated = make_study(write_mask_folder(tmp_path / "data"))
    changed = project.config("config/mine.yaml", experiments=EXPERIMENTS, defaults={})
    assert yaml.safe_load((project.folder / changed).read_text())["dataset"] == generated["dataset"]
    done = project.snakemake("--cores", "1", "--resources", "gpu=1", configfile=changed)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = pd.read_parquet(project.folder / "runs" / generated["dataset"]["name"] / "manifest.parquet")
    assert (len(manifest), manifest["area"].map(sum).gt(0).sum()) == (N_IMAGES, N_IMAGES - N_CLEAN)
    results = pd.read_csv(project.folder / "results" / generated["study"] / "results.csv")
    assert set(results["model"]) == {"unet", "all_full"}
    assert results["dice_all"].between(0, 1).all()
    assert (project.folder / "results" / generated["study"] / "index.html").is_file()
