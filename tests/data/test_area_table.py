"""Labels without images: areas are enough to divide a dataset."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from defectbench.config.base import ConfigError
from defectbench.config.ingest import AreaTable
from defectbench.config.study import load_study
from defectbench.data.ingest import BadSamplesError, ingest
from defectbench.data.manifest import read_manifest, write_manifest
from defectbench.data.readers.base import LabelFileError
from defectbench.script import UserError

ROOT = Path(__file__).parents[2]


def write_table(root: Path, *rows: str, header: str = "ImageId,area_1,area_2") -> AreaTable:
    (root / "areas.csv").write_text("\n".join([header, *rows]) + "\n")
    classes = {1: "dent", 2: "stain"}
    return AreaTable(name="table", format="area_table", root=root, classes=classes, height=20, width=30)


def test_the_manifest_holds_the_areas_and_nothing_else(tmp_path):
    manifest, problems, _ = ingest(
        write_table(tmp_path, "b.jpg,0,600", "a.jpg,7,0", "c.jpg,0,0"), tmp_path / "found.csv"
    )
    write_manifest(tmp_path / "m.parquet", manifest)
    frame = read_manifest(tmp_path / "m.parquet").frame
    assert problems == []
    assert frame["image_id"].tolist() == frame["group"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert np.stack(frame["area"]).tolist() == [[7, 0], [0, 600], [0, 0]]
    assert set(frame["height"]) == {20}
    assert frame[["sha256", "phash", "rle", "stored_as"]].isna().all(axis=None)
    with pytest.raises(UserError, match="table of areas: it has no images"):
        read_manifest(tmp_path / "m.parquet").digest()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("b.jpg,601,0", "from 0 to 600 pixels, got '601'"),
        ("b.jpg,-1,x", "got '-1', 'x'"),
        ("b.jpg,1.5,0", "got '1.5'"),
        ("b.jpg,,0", "got ''"),
        ("a.jpg,0,0", "image 'a.jpg' is already in row 2"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, problem):
    with pytest.raises(BadSamplesError, match=f"areas.csv, row 3: .*{problem}"):
        ingest(write_table(tmp_path, "a.jpg,1,1", row), tmp_path / "found.csv")


@pytest.mark.parametrize("header", ["ImageId,area_1", "Image,area_1,area_2", "ImageId,area_1,area_2,area_3"])
def test_columns_must_be_those_of_the_classes(tmp_path, header):
    with pytest.raises(LabelFileError, match="columns"):
        ingest(write_table(tmp_path, header=header), tmp_path / "found.csv")


def study_of(root: Path) -> dict:
    values = {"format": "area_table", "classes": {1: "dent", 2: "stain"}, "height": 20, "width": 30}
    return {"study": "plan", "dataset": {"name": "table", "root": str(root), **values}, "experiments": []}


def test_nothing_can_be_trained_on_a_table(tmp_path):
    write_table(tmp_path, "a.jpg,1,1")
    with pytest.raises(ConfigError, match="area_table holds no images to train on"):
        load_study(study_of(tmp_path) | {"experiments": [{"model": "all_empty"}]})


def test_a_study_without_experiments_divides_the_data(tmp_path):
    areas = np.random.default_rng(0).integers(0, 2, (200, 2)) * 9
    write_table(tmp_path, *(f"{index:03d}.jpg,{a},{b}" for index, (a, b) in enumerate(areas)))
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(study_of(tmp_path)))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path]
    subprocess.run([*command, "--cores", "1", "--configfile", tmp_path / "plan.yaml"], check=True)
    split = pd.read_csv(tmp_path / "runs" / "table" / "split.csv")
    assert split["role"].value_counts().to_dict() == {"train": 160, "val": 20, "test": 20}
    assert set(pd.read_csv(tmp_path / "runs" / "table" / "folds.csv")["image_id"]) == set(
        split.loc[split["role"] != "test", "image_id"]
    )
