"""Samples of YOLO's training follow from seed, pass and image, whichever process loads them."""

import itertools

import numpy as np
import torch
from yolo_data import CLASSES, picture, shapes

from defectbench.config.families.yolo import YoloSettings
from defectbench.config.runtime import RuntimeSettings
from defectbench.data.yolo_labels import write_dataset
from defectbench.families.yolo import network as yolo
from defectbench.families.yolo.ultralytics_training import make_trainer

IDS = [f"{i}.png" for i in range(8)]


def load_passes(folder, workers, seed=42):
    """Two passes over eight images without objects: (pass, file) -> image, in the order of loading."""
    keys = {"augment": {"noise": 0.5, "blur": 0.5, "rotate": 1.0}, "seed": seed}
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="96", batch_size=4, threads=1, **keys)
    images = {name: picture(np.zeros_like(shapes(64, 96)), i) for i, name in enumerate(IDS)}
    data = write_dataset(folder, images, dict.fromkeys(IDS, ""), {"train": IDS, "val": IDS}, CLASSES)
    trainer = make_trainer("x", settings, len(IDS), data, folder, "fp32", RuntimeSettings(workers=workers))
    # On a CPU ultralytics takes none.
    trainer.model, trainer.args.workers = yolo.build_network(settings, CLASSES), workers
    loader = trainer.get_dataloader(trainer.data["train"], 4, -1, "train")
    assert loader.num_workers == workers
    loaded = {}
    for place, batch in enumerate(itertools.islice(loader, 4)):
        files = [file[-10:] for file in batch["im_file"]]
        loaded |= {(place // 2, file): image for file, image in zip(files, batch["img"], strict=True)}
    loader.close()
    return loaded


def test_samples_are_the_same_for_any_number_of_loader_processes(tmp_path):
    alone, helped = (load_passes(tmp_path / str(workers), workers) for workers in (0, 2))
    assert list(alone) == list(helped)
    assert len(alone) == 2 * len(IDS)
    assert all(torch.equal(image, helped[key]) for key, image in alone.items())


def test_samples_are_new_in_every_pass_and_for_every_seed(tmp_path):
    first, other = (load_passes(tmp_path / str(seed), 0, seed) for seed in (1, 2))
    files = {file for _, file in first}
    assert not any(torch.equal(first[0, file], first[1, file]) for file in files)
    assert not any(torch.equal(first[0, file], other[0, file]) for file in files)


def test_loading_leaves_the_trainings_random_numbers_alone(tmp_path):
    load_passes(tmp_path / "a", 0)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="96", batch_size=4, threads=1)
    data = tmp_path / "a" / "data.yaml"
    trainer = make_trainer("x", settings, len(IDS), data, tmp_path, "fp32", RuntimeSettings())
    trainer.model = yolo.build_network(settings, CLASSES)
    loader = trainer.get_dataloader(trainer.data["train"], 4, -1, "train")
    torch.manual_seed(5)
    _ = loader.dataset[0, 0]
    assert torch.equal(torch.rand(3), expected)
