"""Splits, leaks and subsets."""

import numpy as np
import pandas as pd
import pytest
import split as split_script
import subset as subset_script
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_datasets import write_severstal

from defectbench.config.split import SplitSettings
from defectbench.data.ingest import ingest
from defectbench.data.manifest import areas, write_manifest
from defectbench.data.splits import SplitError, export_note, make_split, split_table
from defectbench.data.strata import assign_strata
from defectbench.data.subsets import SubsetError, make_subset, subset_order

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def make_frame(n: int, seed: int = 0, groups: int | None = None, prevalence: float = 0.2) -> pd.DataFrame:
    """Rows of a manifest as splits need them: ids, groups and areas of three classes."""
    random = np.random.default_rng(seed)
    area = random.integers(1, 5000, (n, 3)) * (random.random((n, 3)) < prevalence)
    ids = [f"{index:06d}.jpg" for index in range(n)]
    group = ids if groups is None else [f"g{index}" for index in random.integers(0, groups, n)]
    return pd.DataFrame({"image_id": ids, "group": group, "area": list(area)})


# fresh splits ----------------------------------------------------------------------------------------------------


@given(n=st.integers(60, 400), seed=st.integers(0, 1000), train=st.floats(0.3, 0.8))
def test_shares_are_exact_to_the_image(n, seed, train):
    settings = SplitSettings(train=train, val=(1 - train) * 0.6, test=(1 - train) * 0.4, seed=seed)
    counts = make_split(make_frame(n), settings)["role"].value_counts()
    for role in ("train", "val", "test"):
        assert abs(counts[role] - n * getattr(settings, role)) < 1
    assert counts.sum() == n


def test_every_stratum_is_shared_out():
    frame = make_frame(3000)
    split = make_split(frame, SplitSettings())
    stratum = pd.Series(assign_strata(areas(frame)))
    for _, roles in split["role"].groupby(stratum):
        for role, share in SHARES.items():
            assert abs((roles == role).sum() - share * len(roles)) < 2


def test_strata_of_three_images_are_not_starved():
    # 60 strata of 3: rounding each by itself would give val and test nothing.
    area = [[1 << (index // 9 % 3), 10 ** (index % 3), index // 27] for index in range(180)]
    frame = pd.DataFrame({"image_id": [f"{i:03d}" for i in range(180)], "area": area}).assign(
        group=lambda table: table["image_id"]
    )
    counts = make_split(frame, SplitSettings())["role"].value_counts()
    assert (counts["val"], counts["test"]) == (18, 18)


@given(seed=st.integers(0, 200))
def test_groups_are_never_divided(seed):
    split = make_split(make_frame(300, seed, groups=60), SplitSettings(seed=seed))
    assert (split.groupby("group")["role"].nunique() == 1).all()
    counts = split["role"].value_counts()
    largest = split["group"].value_counts().max()
    for role, share in SHARES.items():
        assert abs(counts[role] - share * 300) <= largest


def test_same_seed_same_split_whatever_the_order_of_rows():
    frame = make_frame(500, groups=400)
    split = make_split(frame, SplitSettings(seed=3))
    again = make_split(frame.sample(frac=1, random_state=1), SplitSettings(seed=3))
    pd.testing.assert_frame_equal(again.sort_values("image_id"), split)
    assert (make_split(frame, SplitSettings(seed=4))["role"] != split["role"]).any()


def test_no_defective_val_image_is_an_error():
    frame = make_frame(50, prevalence=0)
    with pytest.raises(SplitError, match=r"none of the 5 val images has a defect.*raise split\.val"):
        make_split(frame, SplitSettings())


def test_empty_role_is_an_error():
    with pytest.raises(SplitError, match="no image for val and test among 2"):
        make_split(make_frame(2, prevalence=1), SplitSettings())


def test_split_table_counts():
    frame = make_frame(200)
    split = make_split(frame, SplitSettings())
    table = split_table(frame, split, ("a", "b", "c")).set_index("role")
    assert table["images"].to_dict() == {"train": 160, "val": 20, "test": 20}
    val = areas(frame)[split["role"] == "val"]
    assert table.loc["val", "clean"] == (val.sum(axis=1) == 0).sum()
    assert table.loc["val", "b_images"] == (val[:, 1] > 0).sum()
    assert table.loc["val", "b_area"] == val[:, 1].sum()


@given(n=st.integers(60, 300), groups=st.integers(30, 300), seed=st.integers(0, 1000))
def test_the_order_of_rows_is_irrelevant(n, groups, seed):
    frame = make_frame(n, seed, groups)
    split = make_split(frame, SplitSettings(seed=seed))
    assert split["image_id"].tolist() == frame["image_id"].tolist()
    again = make_split(frame.sample(frac=1, random_state=seed), SplitSettings(seed=seed))
    pd.testing.assert_frame_equal(again.sort_index(), split)


# counts ----------------------------------------------------------------------------------------------------------


@given(n=st.integers(80, 400), seed=st.integers(0, 1000), val=st.integers(10, 30), test=st.integers(1, 40))
def test_counts_are_exact(n, seed, val, test):
    counts = make_split(make_frame(n), SplitSettings(val=val, test=test, seed=seed))["role"].value_counts()
    assert counts.to_dict() == {"train": n - val - test, "val": val, "test": test}


def test_shares_divide_what_counts_leave():
    counts = make_split(make_frame(130), SplitSettings(test=40))["role"].value_counts()
    assert counts.to_dict() == {"train": 80, "test": 40, "val": 10}


def test_counts_beyond_the_images():
    with pytest.raises(SplitError, match="50 images are too few for val: 10, test: 40 in split: lower the counts"):
        make_split(make_frame(50), SplitSettings(val=10, test=40))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"test": 20.5}, "must be a share below 1 or a whole number of images, got 20.5"),
        ({"train": 80, "val": 10, "test": 10}, "one of train, val, test must be a share"),
        ({"group_by": "(photo"}, "not a regular expression: '\\(photo'"),
    ],
)
def test_impossible_parts(values, message):
    with pytest.raises(ValidationError, match=message):
        SplitSettings(**values)


# groups by name --------------------------------------------------------------------------------------------------


def photo_frame(seed: int) -> pd.DataFrame:
    """Up to 8 parts each of 50 photos; here and there, two images are the same picture."""
    frame = make_frame(200, seed)
    photo = np.random.default_rng(seed).integers(0, 50, 200)
    names = [f"photo{number:02d}_{index:03d}.jpg" for index, number in enumerate(photo)]
    frame = frame.assign(image_id=names, group=names)
    frame.loc[[10, 11], "group"] = names[10]
    frame.loc[[20, 21, 22], "group"] = names[20]
    return frame


@given(seed=st.integers(0, 300))
def test_neither_photos_nor_pictures_are_divided(seed):
    frame = photo_frame(seed)
    split = make_split(frame, SplitSettings(group_by=r"photo\d+", seed=seed))
    for key in (frame["image_id"].str[:7], frame["group"]):
        assert split.groupby(key)["role"].nunique().max() == 1
        assert split.groupby(key)["group"].nunique().max() == 1
    assert (split["group"] <= split["image_id"]).all()  # the first photo of the group
    assert split["group"].nunique() >= frame["image_id"].str[:7].nunique() - 3


def test_first_group_of_the_pattern_counts():
    frame = photo_frame(0)
    whole = make_split(frame, SplitSettings(group_by=r"photo\d+"))
    pd.testing.assert_series_equal(make_split(frame, SplitSettings(group_by=r"^(photo\d+)_"))["group"], whole["group"])
    digit = make_split(frame, SplitSettings(group_by=r"photo\d(\d)"))
    assert set(digit["group"]) <= set("0123456789")


def test_pattern_that_does_not_match():
    frame = make_frame(60)
    with pytest.raises(
        SplitError, match=r"group_by: '\^00000' does not match 50 images: 000010\.jpg, .*000014\.jpg, \.\."
    ):
        make_split(frame, SplitSettings(group_by="^00000"))


def exported_frame() -> pd.DataFrame:
    """Three copies each of 40 photos as Roboflow names them, spread over its folders, and 20 images of other names."""
    folders = ("train", "valid", "test")
    names = [f"{folders[k]}/photo-{n}_jpg.rf.{n * 3 + k:032x}.jpg" for n in range(40) for k in range(3)]
    names += [f"other/{n:03d}.png" for n in range(20)]
    return make_frame(140, prevalence=0.9).assign(image_id=names, group=names)


def test_copies_of_a_roboflow_export_are_grouped_by_name():
    frame = exported_frame()
    split = make_split(frame, SplitSettings())
    photo = frame["image_id"].str.extract(r"(photo-\d+)_")[0].fillna(frame["image_id"])
    assert split.groupby(photo)["role"].nunique().max() == 1
    assert split["group"].nunique() == photo.nunique() == 60
    frame.loc[130, "group"] = frame.loc[0, "group"]  # the same pixels under another name
    assert make_split(frame, SplitSettings()).loc[[0, 1, 130], "group"].nunique() == 1
    asked = make_split(frame.drop(130), SplitSettings(group_by=".+"))
    assert asked["group"].nunique() == 139


def test_other_names_are_not_taken_for_an_export():
    frame = make_frame(60)
    for names in ("a.rf.{}.jpg/x", "a.rf{}.jpg", "a_rf_{}.jpg"):
        named = frame.assign(image_id=[names.format(n) for n in range(60)])
        assert make_split(named, SplitSettings())["group"].nunique() == 60
        assert export_note(named["image_id"]) is None
    single = pd.Series([f"photo-{n}_jpg.rf.{n:032x}.jpg" for n in range(60)])
    assert export_note(single) is None
    assert export_note(exported_frame()["image_id"]).startswith("120 images are named as Roboflow")


# subsets ---------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 100))
def test_every_prefix_is_close_to_stratified(seed):
    frame = make_frame(600, seed)
    order = subset_order(frame, seed)
    assert sorted(order) == frame["image_id"].tolist()
    stratum = pd.Series(assign_strata(areas(frame)), index=frame["image_id"])[order].to_numpy()
    total = np.bincount(stratum)
    # Within an image for each stratum by itself; the commonest ones give or take what the others round off.
    tolerance = 1 + len(total) * total / len(order)
    for n in (30, 100, 300):
        held = np.bincount(stratum[:n], minlength=len(total))
        assert (abs(held - total * n / len(order)) < tolerance).all()


@given(data_seed=st.integers(0, 100), seed=st.integers(0, 1000))
def test_subsets_are_nested_and_drawn_from_train(data_seed, seed):
    frame = make_frame(400, data_seed)
    split = make_split(frame, SplitSettings())
    train = set(split.loc[split["role"] == "train", "image_id"])
    ids = {n: make_subset(frame, split, n, seed)["image_id"].tolist() for n in (50, 100, "full")}
    assert ids[50] == ids[100][:50]
    assert ids[100] == ids["full"][:100]
    assert set(ids["full"]) == train
    assert len(set(ids[100])) == 100
    assert set(make_subset(frame, split, 100, seed + 1)["image_id"]) != set(ids[100])


def test_subset_larger_than_train():
    frame = make_frame(100)
    with pytest.raises(SubsetError, match="subset of 81 images was requested, but train has 80"):
        make_subset(frame, make_split(frame, SplitSettings()), 81, seed=0)


# scripts ---------------------------------------------------------------------------------------------------------


def arguments(**values) -> list[str]:
    return [text for key, value in values.items() for text in (f"--{key}", str(value))]


def run_split(dataset, folder):
    """Ingest ``dataset`` and run the script on it; its output files by option."""
    write_manifest(folder / "m.parquet", ingest(dataset, folder / "found.csv")[0])
    dataset.write(folder / "ingest.yaml")
    SplitSettings().write(folder / "split.yaml")
    inputs = {"settings": folder / "split.yaml", "dataset": folder / "ingest.yaml"}
    outputs = {name: folder / f"{name}.csv" for name in ("split", "table", "leaks")}
    split_script.main(arguments(manifest=folder / "m.parquet", **inputs, **outputs))
    return outputs


def test_scripts_write_their_files(tmp_path, capsys):
    rows = [f"{i}.png,{1 + i % 4},{1 + i} {2 + i}" for i in range(0, 40, 2)]
    dataset = write_severstal(tmp_path, rows, n_images=40)
    outputs = run_split(dataset, tmp_path)
    split = pd.read_csv(outputs["split"])
    assert list(split.columns) == ["image_id", "role", "group"]
    assert len(split) == 40
    assert pd.read_csv(outputs["table"])["images"].tolist() == [32, 4, 4]
    assert outputs["leaks"].read_text() == "dropped_image_id,dropped_role,kept_image_id,kept_role\n"
    common = {"manifest": tmp_path / "m.parquet", "split": outputs["split"], "seed": 7, "out": tmp_path / "n.csv"}
    subset_script.main(arguments(n=10, **common))
    assert len(pd.read_csv(tmp_path / "n.csv")) == 10
    with pytest.raises(SystemExit) as exit_status:
        subset_script.main(arguments(n=33, **common))
    assert exit_status.value.code == 1
    assert capsys.readouterr().err.startswith("a subset of 33 images")


def test_the_script_says_that_it_grouped_an_export(tmp_path, capsys):
    rows = [f"p{i // 3}_png.rf.{i:032x}.png,1,{1 + i} 2" for i in range(60)]
    dataset = write_severstal(tmp_path, [], n_images=60)
    for i, path in enumerate(dataset.image_files()):
        path.rename(path.with_name(f"p{i // 3}_png.rf.{i:032x}.png"))
    dataset.label_files()[0].write_text("\n".join(["ImageId,ClassId,EncodedPixels", *rows]) + "\n")
    outputs = run_split(dataset, tmp_path)
    assert "60 images are named as Roboflow names copies (name.rf.hash), and have 20 names." in capsys.readouterr().out
    split = pd.read_csv(outputs["split"])
    assert split.groupby(split["image_id"].str.split("_").str[0])["role"].nunique().max() == 1
