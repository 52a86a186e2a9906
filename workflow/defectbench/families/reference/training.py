"""Set-up of a reference method: the classical threshold is tuned on training images, constants need no tuning."""

import time
from collections.abc import Sequence

from defectbench.config.families.reference import ReferenceSettings
from defectbench.families.reference.methods import MAX_TUNING_IMAGES, Constant, Reference, to_dict, tune_top_hat
from defectbench.files import write_json, write_text
from defectbench.training.files import parse_training_files
from defectbench.training.job import Job
from defectbench.training.run_record import file_facts


def train_reference(description: str, argv: Sequence[str] | None = None) -> None:
    """The command of the training script; ``description`` is the text of --help."""
    started = time.perf_counter()
    files = parse_training_files(description, argv)
    settings = ReferenceSettings.read(files.settings)
    job = Job(files, settings)
    labelled = job.train_ids[:MAX_TUNING_IMAGES] if settings.model == "tophat_otsu" else []
    method: Reference = Constant(defect=settings.model == "all_full")
    if labelled:
        method = tune_top_hat(job.images, job.masks, labelled)
    path = files.folder / "model" / settings.weights_file
    write_json(path, to_dict(method))
    write_text(files.folder / "history.csv", "epoch,step\n")
    record = job.record(
        track="reference",
        n_labels_train=len(labelled),
        zero_shot=not labelled,
        n_labels_val=len(job.val_ids) if labelled else 0,
        train_seconds=time.perf_counter() - started,
        device="CPU",
        params_total=0,
        params_trainable=0,
        **file_facts(path),
    )
    job.write_record(record)
    print(f"{job.name}: {to_dict(method)}")
