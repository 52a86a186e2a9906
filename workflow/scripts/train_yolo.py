"""Train one YOLO network by ultralytics.

Writes into --folder: model/weights.safetensors (the best by ultralytics' fitness), run.json, history.csv and, in
checkpoints/, the best and the last weights. Images, labels and checkpoints of the running training lie in
--folder/state. Ultralytics cannot go on where a killed training was and end as an undisturbed one does: it starts over.
"""

import importlib.metadata
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from defectbench.config.families.yolo import YoloSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.yolo_labels import write_dataset
from defectbench.files import atomic, write_json, write_text
from defectbench.inference.memory import peak_memory_bytes
from defectbench.inference.network import device_name
from defectbench.inference.prediction_file import MERGED
from defectbench.script import run_script
from defectbench.training.arguments import common_parser
from defectbench.training.run_record import file_facts, images_seen, parameter_facts, run_record
from defectbench.training.state import fingerprint, training_state
from defectbench.training.trackers import close_trackers, open_trackers, track_row

if TYPE_CHECKING:
    from defectbench.families.yolo.ultralytics_training import Trained


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, images and labels to ultralytics, and write what it ends with."""
    parser = common_parser(__doc__)
    parser.add_argument("--trackers", type=Path, help="trackers.yaml: who else is told how the training goes")
    parser.add_argument("--labels", type=Path, required=True, help="labels in YOLO's text")
    parser.add_argument("--weights", type=Path, help="published weights, for weights: coco")
    args = parser.parse_args(argv)

    # An extra: its absence is a message.
    from defectbench.families.yolo import ultralytics_training as yolo
    from defectbench.families.yolo.network import read_weights

    settings = YoloSettings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    images = ImagePack(args.pack)
    labels = pd.read_parquet(args.labels).set_index("image_id")["label"].to_dict()
    split = pd.read_csv(args.split, dtype=str)
    ids = {
        "train": pd.read_csv(args.subset, dtype=str)["image_id"].tolist(),
        "val": sorted(split.loc[split["role"] == "val", "image_id"]),
    }
    classes = (MERGED,) if settings.task == "merged" else MaskPack(args.pack).class_names
    origin = {"weights_source": "random"}
    coco = None
    if settings.weights == "coco":
        published = yaml.safe_load(args.weights.with_suffix(".yaml").read_text(encoding="utf-8"))
        origin = {"weights_source": "coco", "published_weights": published}
        coco = read_weights(args.weights)
    precision = yolo.resolved_precision(settings.precision)
    files = [args.settings, args.subset, args.split, args.labels] + ([args.weights] if args.weights else [])
    key = fingerprint(*(path.read_bytes() for path in files), images.digest, args.code_digest)
    with training_state(args.folder / "state", key) as state:
        clear(state, identity.exp_id)
        started = time.perf_counter()
        data = write_dataset(state / "data", images, labels, ids, classes, settings.threads)
        print(f"{identity.exp_id}: images and labels written in {time.perf_counter() - started:.1f} s")
        loggers = open_trackers(args.trackers, identity, settings, state)
        report = partial(track_row, loggers)
        result = yolo.train(identity.exp_id, settings, classes, data, state, precision, report, coco)
        best = copy_weights(result.weights, args.folder)
        write_text(args.folder / "history.csv", result.history.to_csv(index=False))
        record = run_record(
            identity,
            settings,
            track="automatic",
            prompt_source="none",
            classes=classes,
            in_channels=3,
            precision=precision,
            n_labels_train=len(ids["train"]),
            n_labels_val=len(ids["val"]),
            code_digest=args.code_digest,
            data_digest=images.digest,
            **images_seen(ids["train"], ids["val"]),
            **origin,
            **training_facts(settings, result),
            **file_facts(best),
        )
        close_trackers(loggers, record, [])
        write_json(args.folder / "run.json", record)
    best_epoch, epochs = result.best_epoch + 1, len(result.history)
    print(f"{identity.exp_id}: best in epoch {best_epoch} of {epochs}, {record['train_seconds']:.0f} s")


def clear(state: Path, exp_id: str) -> None:
    """Remove what an interrupted training left in ``state``, and say so."""
    from defectbench.families.yolo import ultralytics_training as yolo

    if (state / "data").exists():
        print(f"{exp_id}: an interrupted training; YOLO starts over from epoch 0, which ends the same")
        for leftover in ("data", yolo.FOLDER):
            shutil.rmtree(state / leftover, ignore_errors=True)


def training_facts(settings: YoloSettings, result: "Trained") -> dict[str, Any]:
    """What the run record says of a training by ultralytics."""
    from defectbench.families.yolo import ultralytics_training as yolo

    epochs = len(result.history)
    return {
        "loss": yolo.LOSS,
        "monitor": yolo.FITNESS,
        "optimizer": "adamw",
        "gradient_clip": yolo.GRADIENT_CLIP,
        "augmentation_not_shared": {} if settings.augment.is_none else yolo.NOT_SHARED,
        "ultralytics": {"version": importlib.metadata.version("ultralytics"), "options": result.options},
        "notes": yolo.notes(settings, result.batch_size),
        "steps": epochs * result.steps_per_epoch,
        "best_step": (result.best_epoch + 1) * result.steps_per_epoch,
        "epochs": epochs,
        "train_seconds": float(result.history["epoch_time"].sum()),
        "peak_memory_train_bytes": peak_memory_bytes(),
        "device": device_name(next(result.network.parameters()).device),
        **parameter_facts(result.network.model),
    }


def copy_weights(kept: dict[str, Path], folder: Path) -> Path:
    """Copy the kept checkpoints and, as model/weights.safetensors, the best of them; return the latter's path."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    best = folder / "model" / "weights.safetensors"
    targets = {folder / "checkpoints" / f"{name}.safetensors": path for name, path in kept.items()}
    for target, source in {**targets, best: next(iter(kept.values()))}.items():
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
    return best


if __name__ == "__main__":
    main()
