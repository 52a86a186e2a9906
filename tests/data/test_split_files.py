"""Splits made elsewhere: followed if they fit, refused if they leak."""

import numpy as np
import pandas as pd
import pytest
from small_datasets import write_masks

from defectbench.config.ingest import MaskFolder
from defectbench.config.split import SplitFile, SplitSettings
from defectbench.data.given_roles import SplitError, read_roles
from defectbench.data.ingest import ingest
from defectbench.data.splits import apply_roles


def divide(frame, settings, dataset):
    given = read_roles(frame["image_id"], settings, dataset)
    assert given is not None
    return apply_roles(frame, settings, given)


def settings_with_file(**changes) -> SplitSettings:
    return SplitSettings(file=SplitFile(path="split.csv"), **changes)


@pytest.fixture
def dataset(tmp_path) -> MaskFolder:
    """Twenty images, defective every other one; images 3 and 17 are one picture, and so are 5, 12 and 18."""
    masks = {f"{i:02d}": np.full((24, 40), i % 2, dtype=np.uint8) for i in range(20)}
    settings = write_masks(tmp_path, masks)
    for copy, original in (("17", "03"), ("12", "05"), ("18", "05")):
        data = (tmp_path / "images" / f"{original}.png").read_bytes()
        (tmp_path / "images" / f"{copy}.png").write_bytes(data)
    return settings


@pytest.fixture
def frame(dataset, tmp_path) -> pd.DataFrame:
    return ingest(dataset, tmp_path / "found.csv")[0].frame


def write_split(dataset: MaskFolder, roles: dict[int, str]) -> None:
    lines = [f"{i:02d}.png,{role}" for i, role in roles.items()]
    (dataset.root / "split.csv").write_text("\n".join(["image,split", *lines]) + "\n")


ROLES = {i: "train" if i < 12 else "val" if i < 16 else "test" for i in range(20)}
SOUND = ROLES | {17: "train", 12: "train", 18: "train"}


def test_split_file_is_followed(dataset, frame):
    write_split(dataset, SOUND)
    split, leaks = divide(frame, settings_with_file(), dataset)
    assert dict(zip(split["image_id"], split["role"], strict=True)) == {f"{i:02d}.png": r for i, r in SOUND.items()}
    assert leaks.empty


def test_leak_names_the_pairs(dataset, frame):
    write_split(dataset, ROLES)
    with pytest.raises(SplitError, match=r"3 pairs: 03\.png \(train\) = 17\.png \(test\), 05\.png \(train\) = 18\.png"):
        divide(frame, settings_with_file(), dataset)


def test_leak_is_dropped_from_train_and_then_from_val(dataset, frame):
    write_split(dataset, ROLES)
    split, leaks = divide(frame, settings_with_file(on_leak="drop_from_train"), dataset)
    assert leaks.to_numpy().tolist() == [
        ["03.png", "train", "17.png", "test"],
        ["05.png", "train", "18.png", "test"],
        ["12.png", "val", "18.png", "test"],
    ]
    assert (split.groupby("group")["role"].nunique() == 1).all()
    assert set(frame["image_id"]) - set(split["image_id"]) == {"03.png", "05.png", "12.png"}


def test_val_is_carved_from_what_train_keeps(dataset, frame):
    write_split(dataset, {i: "train" if i < 12 else "test" for i in range(20)})
    settings = settings_with_file(on_leak="drop_from_train", train=0.7, val=0.2)
    split, leaks = divide(frame, settings, dataset)
    assert split["role"].value_counts().to_dict() == {"train": 8, "test": 8, "val": 2}
    assert set(leaks["dropped_image_id"]) == {"03.png", "05.png"}
    assert split.loc[split["role"] == "val", "image_id"].max() < "12.png"


def test_val_is_carved_by_count(dataset, frame):
    write_split(dataset, {i: "train" if i < 12 else "test" for i in range(20)})
    settings = settings_with_file(on_leak="drop_from_train", val=3)
    split, _ = divide(frame, settings, dataset)
    assert split["role"].value_counts().to_dict() == {"train": 7, "test": 8, "val": 3}


def test_split_file_that_divides_a_group(dataset, frame):
    write_split(dataset, SOUND)
    # By last digit; the pictures unite 3 with 7, and 2 with 5 and 8.
    pairs = r"02\.png \(train\) = 15\.png \(val\), 03\.png \(train\) = 13\.png \(val\)"
    with pytest.raises(SplitError, match=rf"the same group in two roles: \d+ pairs: {pairs}"):
        divide(frame, settings_with_file(group_by=r"\d(\d)"), dataset)


def test_images_that_ingest_left_out_may_be_listed(dataset, frame):
    write_split(dataset, SOUND)
    split, _ = divide(frame[frame["image_id"] != "07.png"], settings_with_file(), dataset)
    assert len(split) == 19


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict.fromkeys(range(7)), r"no role for 7 images: 00\.png, 01\.png, 02\.png, 03\.png, 04\.png, \.\.\."),
        ({77: "train"}, r"not in images: 1 images: 77\.png"),
        ({0: "training", 1: "dev"}, r"does not have: 2 names: training, dev; it has train, val, test"),
        (dict.fromkeys(range(20), "train"), "no image for test"),
        ({13: "train", 15: "train"}, "none of the 1 val images has a defect"),
    ],
)
def test_split_file_that_does_not_fit(dataset, frame, changes, message):
    write_split(dataset, {i: role for i, role in (SOUND | changes).items() if role})
    with pytest.raises(SplitError, match=message):
        divide(frame, settings_with_file(), dataset)


def test_split_file_with_other_columns_or_twice_an_image(dataset, frame):
    (dataset.root / "split.csv").write_text("name,split\n00.png,train\n")
    with pytest.raises(SplitError, match="has no column image; it has name, split"):
        divide(frame, settings_with_file(), dataset)
    (dataset.root / "split.csv").write_text("image,split\n00.png,train\n00.png,test\n")
    with pytest.raises(SplitError, match=r"listed twice: 1 images: 00\.png"):
        divide(frame, settings_with_file(), dataset)


# real data -------------------------------------------------------------------------------------------------------


def test_neu_seg_leaks(tmp_path, real_data):
    """The known leaks, among a tenth of the images, ingested and split by the file that comes with them.

    Nearly all pictures of NEU-Seg stand there several times, turned by 90 or 180 degrees, some in part only.
    """
    source = real_data / "neu_seg"
    ids = sorted(path.name for path in (source / "images").iterdir())[::10]
    ids = sorted({*ids, "001281.jpg", "001285.jpg", "003021.jpg", "003025.jpg", "002151.jpg", "002155.jpg"})
    for name in ids:
        for path in (f"images/{name}", f"masks/{name.replace('.jpg', '.png')}"):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).symlink_to(source / path)
    table = pd.read_csv(source / "split.csv").set_index("image").loc[ids].reset_index()
    table.to_csv(tmp_path / "split.csv", index=False)
    classes = {1: "inclusion", 2: "patches", 3: "scratches"}
    dataset = MaskFolder(name="neu", format="mask_folder", root=tmp_path, classes=classes)
    frame = ingest(dataset, tmp_path / "found.csv")[0].frame
    sharing = frame["group"].value_counts().loc[lambda count: count > 1]
    assert (len(sharing), sharing.max()) == (55, 6)

    file = SplitFile(path="split.csv", roles={"train": "train", "val": "test"})
    with pytest.raises(SplitError, match="the same picture in two roles: 27 pairs: "):
        divide(frame, SplitSettings(file=file), dataset)
    split, leaks = divide(frame, SplitSettings(file=file, on_leak="drop_from_train"), dataset)
    assert set(leaks["dropped_role"]) == {"train"}
    # Known for long: 001281 = 001285 and 003021 = 003025, and all four are one picture.
    role = table.set_index("image")["split"]
    known = {image for image in ("001281.jpg", "001285.jpg", "003021.jpg", "003025.jpg") if role[image] == "train"}
    assert known <= set(leaks["dropped_image_id"])
    n_train = (table["split"] == "train").sum() - len(leaks)
    assert split["role"].value_counts().to_dict() == pytest.approx(
        {"train": 0.9 * n_train, "val": 0.1 * n_train, "test": (table["split"] == "val").sum()}, abs=4
    )
    assert (split.groupby("group")["role"].nunique() == 1).all()
