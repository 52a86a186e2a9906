"""What learns where most images are clean: U-Nets from scratch by sampler, loss, prior and learning rate, small budget.

One setting at a time differs from the base; beside them a plain loop: the library's U-Net, torch's AdamW at a constant
rate, BCE + Dice, uniform sampling, no augmentation, the last weights. All see as many images of the same split.
Synthetic strips of 64 × 192 have three clean images in four, and defects of a quarter of the usual area;
KolektorSDD (YOLO labels) is squashed to 192 × 64; of its training images, surplus defective ones go to test.

Of the test images: Dice of defective ones at p = 0.5 and at the threshold with the highest val Dice of all images, Dice
of all images there (an all-empty model has the share of clean ones), and average precision of pixels; medians over
seeds. A run is empty if no test pixel reaches p = 0.5.

    python benchmarks/mostly_clean.py --kolektor FOLDER        # without it: synthetic strips alone
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import segmentation_models_pytorch as smp
import torch
from loading import PRIOR

from defectbench.config.augment import AugmentSettings
from defectbench.config.dataset import DatasetSettings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.ingest import SeverstalCsv, YoloFolder
from defectbench.data.ingest import ingest
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.synthetic import AreaPrior, SteelPrior, load_prior, write_steel
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.families.unet.network import UNet
from defectbench.inference.geometry import Geometry
from defectbench.metrics import counts
from defectbench.metrics.codes import codes_from_logits
from defectbench.metrics.histograms import average_precision, joint_histogram, sweep
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import Samples
from defectbench.training.fit import TrainingData, fit, resolve_precision
from defectbench.training.losses import BCE, Loss, make_loss
from defectbench.training.network_job import Training

ENCODER, BATCH, CLEAN, AT_HALF = "tu-regnetx_002", 8, 0.75, 127
BF16 = resolve_precision("auto") == "bf16"


@dataclass(frozen=True)
class Way:
    """A way of training."""

    sampler: str = "shuffle"
    loss: str = "dice_focal"
    prior: float = 0.05
    lr: float = 1e-3


WAYS = {
    "base: shuffle, dice_focal, p 0.05, lr 1e-3": Way(),
    "lr 1e-4": Way(lr=1e-4),
    "balanced": Way(sampler="balanced"),
    "dice_bce": Way(loss="dice_bce"),
    "dice_bce, Dice by image": Way(loss="image_dice_bce"),
    "p 0.5": Way(prior=0.5),
    "balanced, dice_bce": Way(sampler="balanced", loss="dice_bce"),
}
PLAIN_LR = 1e-3


def image_dice_bce(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """BCE + Dice of each image, clean ones too: their Dice is 1/(Σp + 1)."""
    logits, masks = logits.float(), masks.float()
    p = logits.sigmoid()
    dice = (2 * (p * masks).sum(dim=(2, 3)) + 1) / (p.sum(dim=(2, 3)) + masks.sum(dim=(2, 3)) + 1)
    return 1 - dice.mean() + BCE((1.0,))(logits, masks)


@dataclass(frozen=True)
class Data:
    """The images of one dataset by role."""

    train: Samples
    val: Samples
    test: Samples


def split(samples: Samples, n_val: int, n_test: int) -> Data:
    """Random roles; CLEAN of the training images are clean, and defective ones beyond that are test images too."""
    areas = samples.masks.areas()
    rng = np.random.default_rng(0)
    order = rng.permutation(samples.image_ids)
    defective = np.array([any(areas[image_id]) for image_id in order])
    roles: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for kind in (order[defective], order[~defective]):
        share = len(kind) / len(order)
        first, second = round(n_val * share), round((n_val + n_test) * share)
        for role, ids in zip(("val", "test", "train"), np.split(kind, [first, second]), strict=True):
            roles[role] += list(ids)
    clean, with_defect = ([i for i in roles["train"] if any(areas[i]) == kind] for kind in (False, True))
    n_kept = round(len(clean) * (1 - CLEAN) / CLEAN)
    roles["train"] = sorted(clean + with_defect[:n_kept])
    roles["test"] += with_defect[n_kept:]
    plain = {role: replace(samples, image_ids=roles[role]) for role in ("val", "test")}
    train = replace(samples, image_ids=roles["train"], augmentation=make_augmentation(AugmentSettings()))
    print(
        *(f"{role}: {sum(any(areas[i]) for i in ids)} of {len(ids)} defective" for role, ids in roles.items()), sep=", "
    )
    return Data(train, **plain)


def read_samples(settings: DatasetSettings, folder: Path, img_size: str) -> Samples:
    """All images of a dataset, packed below ``folder``."""
    manifest, *_ = ingest(settings, folder / "issues.csv")
    pack_images(manifest, settings.root, folder / "packed")
    pack_masks(manifest, folder / "packed")
    images = ImagePack(folder / "packed")
    geometry = Geometry.of(img_size, "native" if img_size == "native" else "squash")
    return Samples(images, MaskPack(folder / "packed"), images.image_ids, geometry, "merged")


def synthetic(folder: Path, n: int) -> Samples:
    """``n`` strips, CLEAN of them clean, with small defects."""
    usual = load_prior(PRIOR)
    small = {
        number: AreaPrior(area.mu - np.log(4), area.sigma, area.low / 4, area.high / 4)
        for number, area in usual.area_fraction.items()
    }
    write_steel(folder / "source", SteelPrior(CLEAN, usual.combinations, small), n=n, seed=0, size=(64, 192))
    classes = {1: "1", 2: "2", 3: "3", 4: "4"}
    settings = SeverstalCsv(name="steel", format="severstal_csv", root=folder / "source", classes=classes)
    return read_samples(settings, folder, "native")


def kolektor(root: Path) -> YoloFolder:
    """The settings of KolektorSDD with YOLO labels."""
    classes = {0: "defect"}
    return YoloFolder(name="kolektor", format="yolo", root=root, classes=classes, on_bad_sample="quarantine")


def train_ours(data: Data, way: Way, steps: int, seed: int) -> torch.nn.Module:
    """Train by the project's loop, which takes the better of two evaluations."""
    settings = UNetSettings(
        encoder=ENCODER,
        sampler=way.sampler,
        lr=way.lr,
        batch_size=BATCH,
        steps=steps,
        eval_every=-(-steps // 2),
        threads=1,
        seed=seed,
    )
    torch.manual_seed(seed)
    network = UNet(settings, data.train.images.channels, 1)
    torch.nn.init.constant_(network.network.segmentation_head[0].bias, np.log(way.prior / (1 - way.prior)))
    loss: Loss = image_dice_bce if way.loss == "image_dice_bce" else make_loss(way.loss)
    with tempfile.TemporaryDirectory() as state:
        samples = TrainingData("", replace(data.train, seed=seed), data.val)
        fit(Training(network, loss, {}), samples, settings, Path(state))
    return network


def train_plain(data: Data, lr: float, steps: int, seed: int) -> torch.nn.Module:
    """Train by a plain loop."""
    torch.manual_seed(seed)
    net = smp.Unet(ENCODER, encoder_weights=None, in_channels=data.train.images.channels)
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(data.train.images.channels, affine=False), net)
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    dice, bce = smp.losses.DiceLoss("binary"), torch.nn.BCEWithLogitsLoss()
    samples = replace(data.train, augmentation=None)
    for _ in range(steps):
        batch = [samples[0, int(index)] for index in torch.randint(len(samples), (BATCH,))]
        images = torch.stack([image for image, _, _ in batch]).float()
        masks = torch.stack([mask for _, mask, _ in batch]).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            logits = network(images)
        loss = bce(logits.float(), masks) + dice(logits.float(), masks)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return network


@torch.no_grad()
def histograms(network: torch.nn.Module, samples: Samples) -> np.ndarray:
    """Histograms (N, 2, 256) of the maps of all images, at their own pixels."""
    network.eval()
    found = []
    for index in range(len(samples)):
        image, _, _ = samples[0, index]
        truth = samples.true_masks(index)
        maps = samples.geometry.restore(network(image[None].float())[0].numpy(), *truth.shape[1:])
        found.append(joint_histogram(codes_from_logits(maps)[0], truth[0]))
    return np.stack(found)


def score(network: torch.nn.Module, data: Data) -> dict[str, float]:
    """The columns of the table."""
    val, test = histograms(network, data.val), histograms(network, data.test)
    calibrated = int(np.argmax(counts.dice(*sweep(val)).mean(axis=0)))
    tp, fp, fn = sweep(test)
    dice, defective = counts.dice(tp, fp, fn), test[:, 1].sum(axis=1) > 0
    return {
        "Dice defective, p 0.5": round(float(dice[defective, AT_HALF].mean()), 3),
        "calibrated": round(float(dice[defective, calibrated].mean()), 3),
        "dice_all": round(float(dice[:, calibrated].mean()), 3),
        "AP": round(average_precision(test.sum(axis=0)) or 0.0, 3),
        "empty": float(not (tp + fp)[:, AT_HALF].any()),
    }


def make_ways(steps: int) -> dict[str, Callable[[Data, int], torch.nn.Module]]:
    """Title -> training of a network on the data with the seed."""
    ours = {title: lambda data, seed, way=way: train_ours(data, way, steps, seed) for title, way in WAYS.items()}
    return ours | {f"plain loop, lr {PLAIN_LR:g}": lambda data, seed: train_plain(data, PLAIN_LR, steps, seed)}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kolektor", type=Path, help="folder with images/, labels/ and data.yaml")
    parser.add_argument("--images", type=int, default=1200, help="images seen by each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few images, two steps, one seed: does it run?")
    args = parser.parse_args()
    n_images, n_val, n_test = (80, 20, 20) if args.quick else (600, 80, 120)
    if args.quick:
        args.images, args.seeds = 2 * BATCH, 1
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sets = {"strips": split(synthetic(Path(folder) / "strips", n_images), n_val, n_test)}
        if args.kolektor:
            samples = read_samples(kolektor(args.kolektor), Path(folder) / "kolektor", "192x64")
            sets["KolektorSDD"] = split(samples, 20, 28)
        # Seeds outermost, so that an interrupted call has compared all ways.
        for seed in range(args.seeds):
            for name, data in sets.items():
                for title, train in make_ways(args.images // BATCH).items():
                    rows.append({"data": name, "way": title} | score(train(data, seed), data))
                    print(seed, *rows[-1].values(), sep=", ", flush=True)
    table = pd.DataFrame(rows).groupby(["data", "way"], sort=False)
    summary = table.median().assign(empty=table["empty"].mean())
    print(f"\n{args.images} images seen, medians of {args.seeds} seed(s)\n{summary.round(3).to_string()}")


if __name__ == "__main__":
    main()
