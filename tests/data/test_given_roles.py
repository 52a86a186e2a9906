"""Roles that data were published with: kept or replaced by a new split as the settings say, never ignored."""

import json

import numpy as np
import pandas as pd
import pytest
import split as split_script
from foreign_datasets import CLASSES, RING, annotation, write_coco
from pydantic import ValidationError
from small_datasets import write_image, write_masks, write_severstal
from study_config import changed, problems_of
from tiny_study import ROOT

from defectbench.config.ingest import CocoFiles
from defectbench.config.split import SplitFile, SplitNames, SplitSettings, folder_role
from defectbench.data.given_roles import SplitError, read_roles
from defectbench.data.ingest import ingest
from defectbench.data.manifest import write_manifest
from defectbench.data.splits import apply_roles, make_folds, make_split
from defectbench.data.tables import read_names, read_table

FOLDERS = {"train": 8, "valid": 3, "Test": 3}


@pytest.fixture
def dataset(tmp_path):
    """Images in folders as published, every other one with a defect."""
    masks = {f"{name}/{i:02d}": np.full((24, 40), i % 2, np.uint8) for name, n in FOLDERS.items() for i in range(n)}
    for name in FOLDERS:
        (tmp_path / "masks" / name).mkdir(parents=True)
    dataset = write_masks(tmp_path, masks)
    for i, stem in enumerate(masks):
        write_image(tmp_path / "images" / f"{stem}.png", seed=100 + i)
    return dataset


@pytest.mark.parametrize(
    ("image_id", "role"),
    [
        ("train/a.png", "train"),
        ("Training/a.png", "train"),
        ("train2017/a.png", "train"),
        ("valid/images/a.png", "val"),
        ("lot/dev/a.png", "val"),
        ("test-2019/img/a.png", "test"),
        ("test.png", None),
        ("latest/a.png", None),
        ("train_images/a.png", None),
    ],
)
def test_folders_that_are_called_as_roles(image_id, role):
    assert folder_role(image_id) == role


def test_published_roles_are_asked_about_before_anything_runs(dataset):
    values = {"name": "parts", "format": "mask_folder", "root": str(dataset.root), "classes": dataset.classes}
    (problem,) = problems_of(changed(dataset=values))
    assert problem.startswith(
        "split.from_folders: images are in folders named after roles (train: 8, val: 3, test: 3); set it to true"
    )
    for decided in (True, False):
        values["images_dir"] = "images"
        config = changed(dataset=values, split={"from_folders": decided}, experiments=[{"model": "unknown"}])
        assert not any("from_folders" in problem for problem in problems_of(config))


def run_split(dataset, tmp_path, **split) -> pd.DataFrame:
    """Run the script; returns split.csv."""
    dataset.write(tmp_path / "ingest.yaml")
    SplitSettings(**split).write(tmp_path / "split.yaml")
    write_manifest(tmp_path / "m.parquet", ingest(dataset, tmp_path / "found.csv").manifest)
    names = {"settings": "split.yaml", "dataset": "ingest.yaml", "manifest": "m.parquet", "split": "out.csv"}
    names |= {"table": "table.csv", "leaks": "leaks.csv"}
    split_script.main([text for key, name in names.items() for text in (f"--{key}", str(tmp_path / name))])
    return read_names(tmp_path / "out.csv").set_index("image_id")


def test_the_script_asks_too(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_split(dataset, tmp_path)
    assert "split.from_folders: images are in folders named after roles" in capsys.readouterr().err


PUBLISHED = {
    f"{name}/{i:02d}.png": {"train": "train", "valid": "val", "Test": "test"}[name]
    for name, n in FOLDERS.items()
    for i in range(n)
}


def test_published_roles_are_kept(dataset, tmp_path):
    assert run_split(dataset, tmp_path, from_folders=True)["role"].to_dict() == PUBLISHED


def test_published_roles_are_replaced_if_the_settings_say_so(dataset, tmp_path):
    roles = run_split(dataset, tmp_path, from_folders=False, train=0.5, val=0.25, test=0.25)["role"].to_dict()
    assert roles.keys() == PUBLISHED.keys()
    assert roles != PUBLISHED


def test_val_is_carved_from_train_where_none_is_published(dataset, tmp_path):
    for folder in ("images", "masks"):
        (dataset.root / folder / "valid").rename(dataset.root / folder / "training")
    roles = run_split(dataset, tmp_path, from_folders=True, val=4)["role"]
    assert roles.value_counts().to_dict() == {"train": 7, "val": 4, "test": 3}
    assert set(roles[roles.index.str.startswith("Test/")]) == {"test"}


def test_images_outside_of_the_published_folders_are_named(dataset, tmp_path, capsys):
    write_image(dataset.root / "images/other/a.png")
    (dataset.root / "masks/other").mkdir()
    (dataset.root / "masks/other/a.png").write_bytes((dataset.root / "masks/train/00.png").read_bytes())
    with pytest.raises(SystemExit):
        run_split(dataset, tmp_path, from_folders=True)
    assert "split.from_folders: no role for 1 images: other/a.png" in capsys.readouterr().err


def test_roles_by_names(dataset, tmp_path):
    names = {
        "pattern": r"^(train|valid|Test)/0[0-2]|^train",
        "roles": {"train": "test", "valid": "val", "Test": "train"},
    }
    with pytest.raises(SplitError, match=r"role names that split.from_names.roles does not have: 1 names: None"):
        read_roles(["train/07.png"], SplitSettings(from_names=SplitNames(**names)), dataset)
    names["pattern"] = r"^(\w+)/"
    roles = run_split(dataset, tmp_path, from_names=names)["role"]
    assert roles.groupby(roles.index.str.split("/").str[0]).first().to_dict() == {
        "Test": "train",
        "train": "test",
        "valid": "val",
    }


def test_roles_are_given_once():
    with pytest.raises(ValidationError, match="one of file, from_folders and from_names"):
        SplitSettings(from_folders=True, file=SplitFile(path="split.csv"))
    with pytest.raises(ValidationError, match="not a regular expression"):
        SplitNames(pattern="(")


@pytest.mark.parametrize(
    "text",
    ["image;split\n{}", "\ufeffimage,split\n{}", "split\timage\n{}", "image,split,\n{}"],
    ids=["semicolons", "mark", "tabs", "index"],
)
def test_a_split_file_as_people_save_it(dataset, tmp_path, text, capsys):
    names = [f"{name}/{i:02d}.png" for name, n in FOLDERS.items() for i in range(n)]
    roles = {name: {"t": "train", "v": "val", "T": "test"}[name[0]] for name in names}
    separator = next(sign for sign in ";,\t" if sign in text)
    turned = text.startswith("split")
    rows = [separator.join([role, name] if turned else [name, role]) for name, role in roles.items()]
    rows = [row.replace("Test/00.png", "test\\00.PNG") + ("," if text.endswith(",\n{}") else "") for row in rows]
    (dataset.root / "split.csv").write_text(text.format("\n".join(rows)))
    assert run_split(dataset, tmp_path, file={"path": "split.csv"})["role"].to_dict() == roles
    assert r"'test\\00.PNG' was taken for 'Test/00.png'" in capsys.readouterr().out


def test_a_split_file_with_a_name_that_is_near_is_refused_with_it(dataset):
    (dataset.root / "split.csv").write_text("image,split\n00.jpg,train\n")
    settings = SplitSettings(file=SplitFile(path="split.csv"))
    with pytest.raises(SplitError, match=r"not in images: 1 images: 00.jpg; did you mean 'Test/00.png' or"):
        read_roles([], settings, dataset)


def test_groups_called_na_are_groups_in_every_table(tmp_path):
    dataset = write_severstal(tmp_path, [f"{i}.png,1,1 5" for i in range(0, 40, 2)], n_images=40)
    for i in range(40):
        path = tmp_path / "train_images" / f"{i}.png"
        path.rename(path.with_name(f"{['NA', 'nan', 'None', 'null', '007'][i // 8]}_{i}.png"))
    rows = [f"{path.name},1,1 5" for path in (tmp_path / "train_images").iterdir() if int(path.stem.split("_")[1]) % 2]
    (tmp_path / "train.csv").write_text("\n".join(["ImageId,ClassId,EncodedPixels", *rows]) + "\n")
    settings = SplitSettings(train=0.6, val=0.2, test=0.2, group_by="^([^_]+)_")
    frame = ingest(dataset, tmp_path / "found.csv").manifest.frame
    split = make_split(frame, settings)
    split["group"] = split["image_id"].str.split("_").str[0]
    split.to_csv(tmp_path / "split.csv", index=False)
    for read in (read_names, read_table):
        assert set(read(tmp_path / "split.csv")["group"].astype(str)) == {"NA", "nan", "None", "null", "007"}
    folds = make_folds(frame, read_names(tmp_path / "split.csv"), k=2, seed=0)
    assert folds.groupby("group")["fold"].nunique().max() == 1


def test_an_empty_cell_alone_is_missing_in_a_table_of_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("name,value\nNA,1.5\nnull,\n")
    table = read_table(tmp_path / "t.csv")
    assert table["name"].tolist() == ["NA", "null"]
    assert table["value"].isna().tolist() == [False, True]


def test_no_other_module_reads_a_table_in_a_way_of_its_own():

    others = {
        "data/tables.py",
        "reporting/usage.py",
        "families/yolo/ultralytics_training.py",
    }  # Snakemake's, ultralytics'
    for path in (ROOT / "workflow").rglob("*.py"):
        assert "pd.read_csv" not in path.read_text() or path.as_posix().endswith(tuple(others)), path


def test_roles_by_the_coco_files_that_list_the_images(tmp_path):
    root = tmp_path / "data"
    write_coco(root, [annotation(n, [RING], image=n) for n in range(0, 12, 2)], n_images=12)
    for i in range(12):
        write_image(root / f"images/{i}.png", seed=200 + i)
    content = json.loads((root / "annotations.json").read_text())
    (root / "annotations.json").unlink()
    parts = {"instances_train2017": range(6), "instances_val2017": range(6, 9), "test": range(9, 12)}
    for name, ids in parts.items():
        images = [image for image in content["images"] if image["id"] in ids]
        annotations = [one for one in content["annotations"] if one["image_id"] in ids]
        part = json.dumps(content | {"images": images, "annotations": annotations})
        (root / f"{name}.json").write_text(part)
    dataset = CocoFiles(name="parts", format="coco", root=root, classes=CLASSES, annotations="*.json")
    with pytest.raises(SplitError, match=r"labels are in files named after roles \(train: 1, val: 1, test: 1\)"):
        read_roles([], SplitSettings(), dataset)
    roles = run_split(dataset, tmp_path, from_folders=True)["role"]
    assert roles.to_dict() == {f"{i}.png": ["train", "train", "val", "test"][i // 3] for i in range(12)}


def test_leaks_between_published_folders_are_found(dataset, tmp_path):
    images = dataset.root / "images"
    (images / "Test/01.png").write_bytes((images / "train/01.png").read_bytes())
    frame = ingest(dataset, tmp_path / "found.csv").manifest.frame
    settings = SplitSettings(from_folders=True)
    given = read_roles(frame["image_id"], settings, dataset)
    with pytest.raises(SplitError, match=r"split.from_folders: the same picture in two roles: 1 pairs: train/01"):
        apply_roles(frame, settings, given)
    dropping = settings.model_copy(update={"on_leak": "drop_from_train"})
    _, leaks = apply_roles(frame, dropping, given)
    assert leaks["dropped_image_id"].tolist() == ["train/01.png"]
