"""Crops and tiles as training samples: where they lie, that they are reproducible, and that networks train on them."""

import cv2
import numpy as np
import pandas as pd
import predict_unet as predict_script
import pyarrow.parquet as pq
import pytest
import torch
import train_unet as train_script
from pydantic import ValidationError
from small_datasets import write_image, write_severstal
from torch.utils.data import DataLoader

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.train import TrainSettings
from defectbench.data.ingest import ingest
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.rle import encode_severstal
from defectbench.data.tiles import TileError, choose_tiles, source_image_id
from defectbench.data.write_packs import pack_images, pack_masks, pack_tiles
from defectbench.files import read_json
from defectbench.inference.geometry import Geometry
from defectbench.inference.prediction_file import PredictionFile
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import Samples, make_samples
from defectbench.training.sampling import StepBatches

SIDE = 64
NATIVE = Geometry.of("native", "native")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packs of eight images: seven of 64 x 64, one of 40 x 50; 0 to 3 have a defect, 0 has two classes."""
    root = tmp_path_factory.mktemp("crops")
    rows = []
    for index, (class_id, top, left) in enumerate([(1, 5, 50), (2, 40, 10), (4, 60, 60), (1, 20, 20), (3, 30, 0)]):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[top : top + 4, left : left + 9] = 1
        rows.append(f"{index % 4}.png,{class_id},{encode_severstal(mask)}")
    for index in range(8):
        write_image(root / "train_images" / f"{index}.png", seed=index, size=(40, 50) if index == 7 else (SIDE, SIDE))
    settings = write_severstal(root, rows, n_images=0)
    manifest, *_ = ingest(settings, root / "found.csv")
    pack_images(manifest, root, root / "packed")
    pack_masks(manifest, root / "packed")
    pack_tiles(root / "packed", root / "tiles", (32, 40), 24)
    return root


def samples(folder, crop=(32, 40), task="per_class", augment="none", seed=3, pack="packed", **keys):
    pack = folder / pack
    images = ImagePack(pack)
    augmentation = make_augmentation(AugmentSettings.model_validate(augment))
    return Samples(images, MaskPack(pack), images.image_ids, NATIVE, task, augmentation, seed, crop, **keys)


@pytest.mark.parametrize("task", ["per_class", "merged"])
def test_a_sample_shows_its_window_of_image_and_masks(folder, task):
    train = samples(folder, task=task)
    for index, image_id in enumerate(train.image_ids):
        image, masks, _ = train[5, index]
        rows, columns = train.window(5, index)
        truth = train.masks[image_id][:, rows, columns]
        assert image.shape[1:] == masks.shape[1:] == (32, 64)
        np.testing.assert_array_equal(image[0, :32, :40], train.images[image_id][rows, columns])
        np.testing.assert_array_equal(masks[:, :32, :40], truth.max(0, keepdims=True) if task == "merged" else truth)


def test_colour_images_are_cut_alike(tmp_path):
    write_image(tmp_path / "train_images" / "0.png", seed=1, size=(50, 70), colour=True)
    manifest, *_ = ingest(write_severstal(tmp_path, ["0.png,2,200 30"], n_images=0), tmp_path / "found.csv")
    pack_images(manifest, tmp_path, tmp_path / "packed")
    pack_masks(manifest, tmp_path / "packed")
    train = samples(tmp_path, crop=(32, 32))
    image, _, _ = train[0, 0]
    pixels = cv2.imread(str(tmp_path / "train_images" / "0.png"))[..., ::-1]
    np.testing.assert_array_equal(image.permute(1, 2, 0), pixels[train.window(0, 0)])


def test_crops_reach_every_place_equally_often(folder):
    train = samples(folder, crop=(62, 63))
    starts = [tuple(part.start for part in train.window(number, 5)) for number in range(600)]
    places, counts = np.unique(starts, axis=0, return_counts=True)
    np.testing.assert_array_equal(places, [(y, x) for y in range(3) for x in range(2)])
    # 100 expected of each; 4 standard deviations are 37.
    assert np.abs(counts - 100).max() < 37


def test_an_image_smaller_than_the_crop_is_taken_whole_and_padded(folder):
    train = samples(folder, crop=(64, 64))
    image, masks, _ = train[0, 7]
    assert train.window(0, 7) == (slice(0, 40), slice(0, 50))
    padded = np.pad(train.images["7.png"], [(0, 24), (0, 14)], mode="edge")
    np.testing.assert_array_equal(image[0], padded)
    assert masks.sum() == 0


def test_no_sample_is_larger_than_the_largest_image_needs(folder):
    assert samples(folder, crop=(256, 512)).input_size == (64, 64)
    assert samples(folder, crop=(20, 33)).input_size == (32, 64)
    assert samples(folder, crop=None).input_size == (64, 64)


def test_defect_crops_show_a_defect_wherever_there_is_one(folder):
    train = samples(folder, crop=(16, 16), defect_crops=1.0)
    for number in range(30):
        defective = [bool(train[number, index][1].any()) for index in range(8)]
        assert defective == [True] * 4 + [False] * 4


def test_the_share_of_defect_crops_is_kept(folder):
    def with_defect(share):
        train = samples(folder, crop=(8, 8), defect_crops=share)
        return np.mean([train.masks.read("1.png", train.window(number, 1)).any() for number in range(400)])

    uniform = with_defect(0.0)
    assert uniform < 0.2
    # Half centred, half uniform: 4 standard deviations are 0.1.
    assert with_defect(0.5) == pytest.approx(0.5 + 0.5 * uniform, abs=0.1)


def test_crops_change_from_pass_to_pass_and_with_the_seed(folder):
    train, other = samples(folder), samples(folder, seed=4)
    windows = [train.window(number, 0) for number in range(20)]
    assert len({str(window) for window in windows}) > 10
    assert windows != [other.window(number, 0) for number in range(20)]


@pytest.mark.parametrize("keys", [{"defect_crops": 0.5}, {"crop": None, "pack": "tiles"}])
def test_samples_are_the_same_for_any_number_of_workers_and_after_a_resume(folder, keys):
    plan = StepBatches(len(samples(folder, **keys)), 3, seed=1)
    batches = [plan.batch(number) for number in range(5)]

    def load(chosen, workers):
        train = samples(folder, augment="steel", **keys)
        return list(DataLoader(train, batch_sampler=chosen, num_workers=workers))

    alone = load(batches, 0)
    for others in (load(batches, 2), [*load(batches[:2], 0), *load(batches[2:], 0)]):
        for expected, found in zip(alone, others, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


class Areas:
    """Masks of which only the areas are known: each image has five tiles, the first with a defect in every third."""

    def __init__(self, n_images):
        self.n_images = n_images

    def areas(self):
        return {f"{i}.png#0_{x}": [0, int(x == 0 and i % 3 == 0)] for i in range(self.n_images) for x in range(5)}


def choose(share, n_images=300, seed=0, ids=None):
    return choose_tiles(Areas(300), ids or [f"{i}.png" for i in range(n_images)], share, seed)


def test_all_tiles_with_a_defect_and_a_share_of_the_others_are_kept():
    defective = {f"{i}.png#0_0" for i in range(0, 300, 3)}
    assert set(choose(0.0)) == defective
    assert len(choose(1.0)) == 1500
    kept = choose(0.3)
    assert defective <= set(kept)
    # 420 of 1,400 expected; 4 standard deviations are 69.
    assert len(kept) - 100 == pytest.approx(420, abs=69)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_tiles_of_fewer_images_are_among_those_of_more(share):
    few, many = choose(share, n_images=100), choose(share)
    assert few == [tile for tile in many if int(source_image_id(tile).removesuffix(".png")) < 100]


def test_a_smaller_share_is_part_of_a_larger_and_another_seed_chooses_others():
    assert set(choose(0.2)) < set(choose(0.6))
    assert set(choose(0.2)) != set(choose(0.2, seed=1))


def test_nothing_to_train_on_is_said():
    with pytest.raises(TileError, match="none of the 5 tiles has a defect, and empty_tiles 0 keeps none"):
        choose(0.0, ids=["1.png"])
    with pytest.raises(TileError, match=r"none of 1 images, such as 999\.png"):
        choose(1.0, ids=["0.png", "999.png"])


def test_tiles_are_those_of_the_training_images_and_validation_sees_whole_images(folder):
    settings = TrainSettings(mode="pre_crops", crop="32x40", stride=24, empty_tiles=0)
    train, val = make_samples(
        settings, folder / "packed", folder / "tiles", ["0.png", "2.png", "6.png"], ["3.png"], None
    )
    index = pq.read_table(folder / "tiles" / "masks.parquet").to_pandas()
    wanted = index["image_id"].isin(["0.png", "2.png", "6.png"]) & (index["area"].map(sum) > 0)
    assert train.image_ids == index.loc[wanted, "tile_id"].tolist()
    assert train[0, 0][0].shape == (1, 32, 64)
    image, masks, _ = val[0, 0]
    np.testing.assert_array_equal(image[0], val.images["3.png"])
    assert masks.sum() == 36


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"prediction": "tiles"}, "prediction 'tiles' needs mode 'crops' or 'pre_crops'"),
        ({"mode": "crops", "img_size": "256", "resize": "squash"}, "mode 'crops' cuts images at their own pixels"),
        (
            {"mode": "pre_crops", "crop": "128x512"},
            "stride 256 leaves gaps between tiles of 128x512; allowed: at most 128",
        ),
        ({"mode": "crops", "crop": "64x64", "prediction": "tiles"}, "overlap 64 does not fit tiles of 64x64"),
        ({"mode": "crops", "crop": "0x64"}, "should match pattern"),
    ],
)
def test_combinations_that_cannot_be_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        TrainSettings(**keys)


def test_inactive_keys_leave_the_settings_file_alone(tmp_path):
    TrainSettings(mode="crops", crop="64x64").write(tmp_path / "a.yaml")
    TrainSettings(mode="crops", crop="64x64", stride=8, empty_tiles=0.5, overlap=999).write(tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()
    assert TrainSettings.read(tmp_path / "a.yaml").crop_size == (64, 64)


def arguments(**paths):
    return [text for key, path in paths.items() for text in (f"--{key.replace('_', '-')}", str(path))]


@pytest.mark.parametrize("mode", ["full", "crops", "pre_crops"])
def test_one_step_and_a_prediction_in_every_mode(folder, tmp_path, mode):
    tiled = {} if mode == "full" else {"prediction": "tiles", "overlap": 8}
    settings = UNetSettings(
        encoder="resnet18",
        mode=mode,
        crop="32x40",
        stride=24,
        steps=1,
        batch_size=2,
        threads=1,
        precision="fp32",
        **tiled,
    )
    settings.write(tmp_path / "train.yaml")
    named = {"exp_id": "x", "dataset": "steel", "family": "unet", "model": "unet", "variant": "resnet18"}
    identity = ExperimentIdentity(**named, subset=4, prompt_type="none", img_size="native", seed=42)
    identity.write(tmp_path / "identity.yaml")
    roles = ["train"] * 4 + ["val", "test"]
    ids = [f"{i}.png" for i in (0, 1, 2, 4, 3, 7)]
    pd.DataFrame({"image_id": ids, "role": roles}).to_csv(tmp_path / "split.csv", index=False)
    pd.DataFrame({"image_id": ids[:4]}).to_csv(tmp_path / "subset.csv", index=False)
    inputs = {name: tmp_path / f"{name}.{ending}" for name, ending in [("split", "csv"), ("subset", "csv")]}
    inputs |= {"settings": tmp_path / "train.yaml", "identity": tmp_path / "identity.yaml", "pack": folder / "packed"}
    tiles = {"tiles": folder / "tiles"} if mode == "pre_crops" else {}
    train_script.main(arguments(**inputs, **tiles, folder=tmp_path / "exp", code_digest="0"))
    run = read_json(tmp_path / "exp" / "run.json")
    assert (run["steps"], run["n_labels_train"], run["settings"]["mode"]) == (1, 4, mode)

    outputs = {name: tmp_path / f"{name}.parquet" for name in ("val", "test")}
    weights = tmp_path / "exp" / "model" / "weights.safetensors"
    files = {"run": tmp_path / "exp" / "run.json", "weights": weights, "timing": tmp_path / "timing.json"}
    predict_script.main(arguments(**files, **outputs, pack=folder / "packed", split=tmp_path / "split.csv"))
    ((image_id, codes),) = PredictionFile(outputs["test"])
    assert (image_id, codes.shape) == ("7.png", (1, 40, 50))
