"""Training: samples from the packs beside decoding them, and what trainings compute in beside the defaults of torch.

Both ways of reading give the same augmented samples of 256 × 1600 to the same U-Net in the same loop. The share of
waiting is the time in which the loop waits for a batch. On a GPU, images and loader processes are as many as a training
would have; without one, a small encoder and few steps have to do. Medians of several repeats, which take turns.

    python benchmarks/training.py [--root FOLDER]      # FOLDER: train_images/ and train.csv; else synthetic strips
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from loading import PRIOR, Decoded
from torch.utils.data import DataLoader, Dataset

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.ingest import SeverstalCsv
from defectbench.data.ingest import ingest
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.synthetic import load_prior, write_steel
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.families.unet.network import UNet
from defectbench.inference.geometry import Geometry
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import Samples
from defectbench.training.fit import resolve_precision
from defectbench.training.losses import make_loss

SIZE = (256, 1600)
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
PRECISION = resolve_precision("auto")
BF16 = PRECISION == "bf16"


class Plain(Dataset):
    """Decodes image and masks anew for every sample, and augments them."""

    def __init__(self, decoded: Decoded) -> None:
        """Of all images of ``decoded``."""
        self.decoded, self.augmentation = decoded, make_augmentation(AugmentSettings())

    def __len__(self) -> int:
        """Number of images."""
        return len(self.decoded.rows)

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Image (C, H, W) uint8, masks (1, H, W) uint8 and index."""
        image, masks = self.decoded.read(item[1])
        self.augmentation.set_random_seed(hash(item) % 2**32)
        found = self.augmentation(image=cv2.merge(tuple(image.numpy())), mask=masks[0].numpy())
        image = np.stack(cv2.split(found["image"]))
        return torch.from_numpy(image), torch.from_numpy(found["mask"][None]), item[1]


def batches(n_images: int, batch_size: int, steps: int) -> list[list[tuple[int, int]]]:
    """The same order for all ways."""
    order = np.random.default_rng(0).integers(0, n_images, (steps, batch_size))
    return [[(step, int(index)) for index in row] for step, row in enumerate(order)]


def train(
    samples: Dataset, order: Sequence[Any], encoder: str, workers: int, channels_last: bool, bf16: bool
) -> dict[str, float]:
    """Images per second and share of waiting in a training of ``len(order)`` steps; the first two warm up."""
    torch.manual_seed(0)
    network = UNet(UNetSettings(encoder=encoder), samples[0, 0][0].shape[0], 1).to(DEVICE)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.AdamW(network.parameters(), lr=1e-4), make_loss("dice_focal")
    loader = DataLoader(samples, batch_sampler=order, num_workers=workers, pin_memory=GPU)
    waited = n_images = 0.0
    waiting = started = time.perf_counter()
    for step, (images, masks, _) in enumerate(loader):
        if step == 2:
            _synchronise()
            waited = n_images = 0.0
            started = waiting = time.perf_counter()
        else:
            waited += time.perf_counter() - waiting
        images, masks = images.to(DEVICE, non_blocking=True), masks.to(DEVICE, non_blocking=True)
        with torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext():
            logits = network(images)
        loss(logits, masks).backward()
        optimizer.step()
        optimizer.zero_grad()
        # What a training does for its log and its check of finite losses.
        _synchronise()
        n_images += len(images)
        waiting = time.perf_counter()
    seconds = time.perf_counter() - started
    return {"images_per_second": n_images / seconds, "wait_share": waited / seconds}


def _synchronise() -> None:
    if GPU:
        torch.cuda.synchronize()


def compare(title: str, ways: dict[str, tuple[Any, ...]], repeats: int) -> None:
    """Train in each of the ``ways`` in turns; print medians, and how many times faster than the first."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, arguments in ways.items():
            found[name].append(train(*arguments))
    print(f"\n{title}")
    first = None
    for name, runs in found.items():
        speed = statistics.median(run["images_per_second"] for run in runs)
        share = statistics.median(run["wait_share"] for run in runs)
        first = first or speed
        print(f"  {name:<40} {speed:8.2f} images/s {speed / first:6.2f} x   waiting {share:6.1%}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with train_images/ and train.csv; default: synthetic strips")
    parser.add_argument("--encoder", default="resnet34" if GPU else "resnet18")
    parser.add_argument("--batch-size", type=int, default=16 if GPU else 2)
    parser.add_argument("--steps", type=int, default=100 if GPU else 8)
    parser.add_argument("--workers", type=int, default=4 if GPU else 0)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = args.root or Path(folder) / "source"
        if args.root is None:
            write_steel(root, load_prior(PRIOR), n=24, seed=42, size=SIZE)
        classes = {1: "1", 2: "2", 3: "3", 4: "4"}
        settings = SeverstalCsv(name="steel", format="severstal_csv", root=root, classes=classes)
        manifest, *_ = ingest(settings, Path(folder) / "issues.csv")
        pack = Path(folder) / "packed"
        pack_images(manifest, root, pack)
        pack_masks(manifest, pack)
        images = ImagePack(pack)
        geometry, augmentation = Geometry.of("native", "native"), make_augmentation(AugmentSettings())
        packed = Samples(images, MaskPack(pack), images.image_ids, geometry, "merged", augmentation)
        plain = Plain(Decoded(manifest, root, "merged"))
        order = batches(len(packed), args.batch_size, args.steps)
        common = (order, args.encoder, args.workers)
        where = torch.cuda.get_device_name() if GPU else f"{torch.get_num_threads()} CPU threads"
        print(f"{args.encoder}, batches of {args.batch_size}, {args.workers} loader processes, {where}")
        compare(
            f"Reading, in a training with channels last and {PRECISION}",
            {
                "decode JPEG and run-length codes": (plain, *common, True, BF16),
                "from the pack": (packed, *common, True, BF16),
            },
            args.repeats,
        )
        ways = {
            "fp32, channels first (torch's default)": (packed, *common, False, False),
            "fp32, channels last": (packed, *common, True, False),
        }
        if BF16:
            ways["bf16, channels last"] = (packed, *common, True, True)
        else:
            print("\nThis hardware has no bf16: trainings take fp32 here.")
        compare("Arithmetic, samples from the pack", ways, args.repeats)


if __name__ == "__main__":
    main()
