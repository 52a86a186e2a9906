"""Experiments for a dataset that nobody has studied yet, by its size and the hardware, and what they cost."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Size = Literal["small", "usual", "thorough"]
SIZES: tuple[Size, ...] = ("small", "usual", "thorough")

MEGAPIXELS_PER_CORE = 0.46
"""Megapixels a second and core on which a U-Net with ResNet18 trains: docs/benchmarks.md, Training, with bf16."""
MEGAPIXELS_PER_GPU = 28.0
"""The same of a large GPU: an estimate."""
MINUTES: dict[Size, float] = {"small": 5, "usual": 30, "thorough": 60}
"""What the training of such a U-Net may take."""
MOST_SEEN, LEAST_SEEN = 96_000, 800
"""Images that a network sees in training: the budget of the studies in config/, and enough for a first look."""
MOST_PASSES = 1_000
"""Passes over few training images."""
LARGEST_SIDE = 1_600
"""Longest side of images that are trained on whole, in pixels."""
CROP = 512
"""Side of the crops of larger images, in pixels."""
LABEL_STEPS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


@dataclass(frozen=True)
class Hardware:
    """What trains the networks."""

    cores: int
    gpus: int

    @property
    def megapixels_per_second(self) -> float:
        """Megapixels a second on which a U-Net with ResNet18 trains."""
        return MEGAPIXELS_PER_GPU if self.gpus else MEGAPIXELS_PER_CORE * self.cores

    def __str__(self) -> str:
        if self.gpus:
            return f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}"
        return f"{self.cores} CPU cores"


class Entry(NamedTuple):
    """An entry of a study's experiments."""

    settings: dict[str, Any]
    cost: float
    """Time of one training, that of a U-Net with ResNet18 being 1; 0 if nothing is trained."""
    comment: str = ""

    @property
    def trainings(self) -> int:
        """Number of trainings: the product of the lengths of all lists."""
        number = 1
        for key, value in self.settings.items():
            number *= len(value) if isinstance(value, list) and key != "input_channels" else 1
        return number if self.cost else 0


@dataclass(frozen=True)
class Proposal:
    """Sections of a study."""

    defaults: dict[str, Any]
    entries: tuple[Entry, ...]
    trainings: int
    hours: float
    """One after another; an estimate."""


def propose_experiments(
    size: Size,
    *,
    n_train: int,
    n_classes: int,
    has_clean: bool,
    height: int,
    width: int,
    hardware: Hardware,
    channels: int = 3,
) -> Proposal:
    """Experiments of a ``size`` for ``n_train`` labelled images, of the usual ``height`` and ``width`` in pixels.

    Families of grey or RGB images see the first three ``channels``, or the first of two.
    """
    is_large = max(height, width) > LARGEST_SIDE
    sample = (min(height, CROP), min(width, CROP)) if is_large else (height, width)
    seconds_per_image = sample[0] * sample[1] / 1e6 / hardware.megapixels_per_second
    images_seen = _round(
        min(MINUTES[size] * 60 / seconds_per_image, MOST_SEEN, MOST_PASSES * n_train), lowest=LEAST_SEEN
    )
    defaults: dict[str, Any] = {"lr": 0.001, "images_seen": images_seen}
    if has_clean:
        defaults["monitor"] = "dice_all"
    if is_large:
        crop = f"{sample[0]}x{sample[1]}"
        defaults |= {"mode": "crops", "crop": crop, "defect_crops": 0.5, "prediction": "tiles"}
    if not hardware.gpus:
        defaults["threads"] = min(hardware.cores, 2)
    entries = _entries(size, n_train, n_classes, max(height, width), bool(hardware.gpus))
    if channels not in (1, 3):
        entries = tuple(_with_channels(entry, channels) for entry in entries)
    work = sum(entry.trainings * entry.cost for entry in entries)
    hours = work * images_seen * seconds_per_image / 3600
    return Proposal(defaults, entries, sum(entry.trainings for entry in entries), hours)


def _entries(size: Size, n_train: int, n_classes: int, side: int, has_gpu: bool) -> tuple[Entry, ...]:
    references = Entry({"model": ["all_empty", "all_full", "tophat_otsu"]}, 0, "What a number is worth.")
    scratch = Entry({"model": "unet", "name": "unet-from-scratch", "encoder": "resnet18"}, 1, "Needs no download.")
    if size == "small":
        return scratch, references
    steps = [step for step in LABEL_STEPS if step <= 0.7 * n_train]
    subset = [*(steps if size == "thorough" else steps[-3:-1]), "full"]
    pretrained = {"encoder": "resnet34", "encoder_weights": "imagenet"}
    entries = [
        Entry(
            {"model": "unet", "name": "unet", **pretrained, "subset": subset},
            1.5,
            "How many labels are needed? Weights of ImageNet are downloaded; without a network: encoder_weights: none.",
        ),
        scratch,
        Entry(
            {"model": "yolov8-seg", "name": "yolo", "weights": "coco", "img_size": str(_long_side(side))},
            0.6,
            "Weights of COCO are downloaded; without a network: weights: none.",
        ),
    ]
    if n_classes > 1:
        entries.append(
            Entry(
                {"model": "unet", "name": "unet-per-class", **pretrained, "task": "per_class"},
                1.5,
                "A map for each class; the others have one of any defect.",
            )
        )
    if has_gpu or size == "thorough":
        tune = ["head", "lora"] if has_gpu and size == "thorough" else "head"
        entries.append(
            Entry(
                {"model": "sam2_head", "name": "sam2-head", "size": "tiny", "tune": tune},
                4,
                "A head on SAM 2's encoder; its weights are downloaded.",
            )
        )
    if size == "thorough":
        entries += [
            Entry({"model": ["unetplusplus", "dsc_unet"], "name": "decoder", **pretrained}, 2.5, "Other decoders."),
            Entry(
                {"model": "unet", "name": "unet-seeds", **pretrained, "seed": [1, 2, 3]},
                1.5,
                "How much is chance: other seeds of the first row.",
            ),
        ]
    return (*entries, references)


def _with_channels(entry: Entry, channels: int) -> Entry:
    """``entry``, with the channels that its model sees if it takes those of grey or RGB images alone."""
    if not str(entry.settings["model"]).startswith(("yolo", "sam")):
        return entry
    chosen = [0, 1, 2] if channels > 3 else [0]
    comment = f"{entry.comment} Sees {len(chosen)} of {channels} channels."
    return entry._replace(settings=entry.settings | {"input_channels": chosen}, comment=comment)


def _long_side(side: int) -> int:
    """``side`` as YOLO takes it: a multiple of 32, at most LARGEST_SIDE."""
    return min(-(-side // 32) * 32, LARGEST_SIDE)


def _round(number: float, lowest: int) -> int:
    """``number`` to two digits, but at least ``lowest``."""
    return max(lowest, int(float(f"{number:.1e}")))
