"""Folds for cross-validation, and splits of the whole Severstal label table."""

import folds as folds_script
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectbench.config.split import SplitSettings
from defectbench.data.manifest import Manifest, areas, write_manifest
from defectbench.data.splits import SplitError, make_folds, make_split
from defectbench.data.subsets import make_subset


def make_frame(n: int, seed: int, groups: int) -> pd.DataFrame:
    """Rows of a manifest as folds need them: ids, groups and areas of two classes."""
    random = np.random.default_rng(seed)
    area = random.integers(1, 5000, (n, 2)) * (random.random((n, 2)) < 0.4)
    group = [f"g{index}" for index in random.integers(0, groups, n)]
    return pd.DataFrame({"image_id": [f"{index:04d}.jpg" for index in range(n)], "group": group, "area": list(area)})


@given(n=st.integers(100, 300), groups=st.integers(60, 300), k=st.integers(2, 8), seed=st.integers(0, 1000))
def test_each_image_once_and_groups_whole(n, groups, k, seed):
    frame = make_frame(n, seed, groups)
    split = make_split(frame, SplitSettings(seed=seed))
    folds = make_folds(frame, split, k, seed)
    assert list(folds.columns) == ["image_id", "fold", "group"]
    assert folds["image_id"].tolist() == split.loc[split["role"] != "test", "image_id"].tolist()
    assert folds.groupby("group")["fold"].nunique().max() == 1
    sizes = folds["fold"].value_counts()
    assert set(sizes.index) == set(range(k))
    assert abs(sizes - len(folds) / k).max() <= folds["group"].value_counts().max()
    shuffled = make_folds(frame.sample(frac=1, random_state=seed), split.sample(frac=1, random_state=seed), k, seed)
    pd.testing.assert_frame_equal(shuffled.sort_values("image_id", ignore_index=True), folds)


def test_another_seed_gives_other_folds():
    frame = make_frame(200, 0, 200)
    split = make_split(frame, SplitSettings())
    assert (make_folds(frame, split, 5, 1)["fold"] != make_folds(frame, split, 5, 2)["fold"]).any()


def test_groups_of_the_split_count_not_those_of_the_pictures():
    frame = make_frame(400, 0, 400).assign(group=lambda table: table["image_id"])
    split = make_split(frame, SplitSettings(group_by=r"^\d{3}"))
    folds = make_folds(frame, split, 3, 0)
    assert folds.groupby(folds["image_id"].str[:3])["fold"].nunique().max() == 1


def test_more_folds_than_groups():
    frame = make_frame(200, 0, 4)
    split = frame[["image_id", "group"]].assign(role="train")
    with pytest.raises(SplitError, match=r"only 4 of 5 folds would have a defect: lower split\.n_folds \(200 train"):
        make_folds(frame, split, 5, 0)


def test_script_writes_the_folds(tmp_path, capsys):
    frame = make_frame(100, 0, 100)
    split = make_split(frame, SplitSettings())
    full = frame.assign(path="", height=8, width=8, channels=1, stored_as="", sha256="", phash=None)
    full["rle"] = [[b"", b""]] * 100
    write_manifest(tmp_path / "m.parquet", Manifest(full, "steel", ("a", "b"), (1, 2), 0))
    split.to_csv(tmp_path / "split.csv", index=False)
    values = {"manifest": tmp_path / "m.parquet", "split": tmp_path / "split.csv", "k": 3, "seed": 7}
    arguments = [text for key, value in values.items() for text in (f"--{key}", str(value))]
    folds_script.main([*arguments, "--out", str(tmp_path / "folds.csv")])
    written = pd.read_csv(tmp_path / "folds.csv")
    pd.testing.assert_frame_equal(written, make_folds(frame, split, 3, 7), check_dtype=False)
    assert "steel: 90 train and val images in 3 folds" in capsys.readouterr().out


def test_number_of_folds_does_not_make_the_split_stale(tmp_path):
    SplitSettings(n_folds=3).write(tmp_path / "a.yaml")
    SplitSettings(n_folds=7).write(tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()


# real data -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def severstal(real_data) -> pd.DataFrame:
    """Labels of all 12,568 training images of Severstal, without the images."""
    table = pd.read_csv(real_data / "severstal_labels" / "class_areas_12568.csv", index_col="ImageId")
    frame = pd.DataFrame({"image_id": table.index, "group": table.index, "area": list(table.to_numpy())})
    assert len(frame) == 12_568
    return frame


def frequencies(frame: pd.DataFrame, ids: pd.Series) -> np.ndarray:
    """Share of the images ``ids`` that show each class, in percent."""
    return 100 * (areas(frame[frame["image_id"].isin(ids)]) > 0).mean(axis=0)


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        (SplitSettings(), {"train": 10_054, "val": 1_257, "test": 1_257}),
        (SplitSettings(test=2000), {"train": 9_394, "val": 1_174, "test": 2_000}),
    ],
    ids=["80/10/10", "test: 2000"],
)
def test_severstal_classes_are_as_frequent_in_every_part(severstal, settings, counts):
    split = make_split(severstal, settings)
    assert split["role"].value_counts().to_dict() == pytest.approx(counts, abs=1)
    assert (split["role"] == "test").sum() == counts["test"] or settings.test < 1
    whole = frequencies(severstal, severstal["image_id"])
    for _, ids in split.groupby("role")["image_id"]:
        assert abs(frequencies(severstal, ids) - whole).max() < 1
    for _, ids in make_folds(severstal, split, 5, 42).groupby("fold")["image_id"]:
        assert abs(frequencies(severstal, ids) - whole).max() < 1
    held = set()
    for n in (100, 200, 500, 1000, 2000, 4000, "full"):
        ids = make_subset(severstal, split, n, 42)["image_id"]
        assert held <= set(ids)
        held = set(ids)
        if n == "full" or n >= 500:
            assert abs(frequencies(severstal, ids) - whole).max() < 2
