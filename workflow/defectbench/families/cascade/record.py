"""The records of a cascade: it is what its stages are, and costs what they cost."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from defectbench.config.base import MERGED
from defectbench.config.families.cascade import ResolvedCascade
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import track_of
from defectbench.families.ensemble.record import common, inherited_labels, joined_notes
from defectbench.files import read_json
from defectbench.script import UserError

_SUMMED = ("params_total", "params_trainable", "weights_bytes", "train_seconds")


class CascadeError(UserError):
    """Stages that do not go together."""


@dataclass(frozen=True)
class Stage:
    """One of the two experiments."""

    folder: Path
    run: dict[str, Any]
    labelled: frozenset[str]
    """Ids of the images that it, or the weights it started from, was trained on; none of a zero-shot model."""

    @classmethod
    def read(cls, folder: Path, subsets: Sequence[Path]) -> Self:
        """From the folder of a finished experiment, and the CSV files of the training images that it was given."""
        run = read_json(folder / "run.json")
        used = subsets if run.get("n_labels_train") != 0 else ()
        ids = (image_id for path in used for image_id in pd.read_csv(path, dtype=str)["image_id"])
        return cls(folder, run, frozenset([*ids, *inherited_labels([run])]))


def cascade_record(
    identity: ExperimentIdentity,
    settings: ResolvedCascade,
    source: Stage | None,
    segmenter: Stage,
    split: pd.DataFrame,
    code_digest: str,
) -> dict[str, Any]:
    """run.json: sums of the stages' costs, and where both come from; ``source`` None if no model made the prompts.

    The track follows from the prompts' source alone. Training labels are those of all images that either stage was
    trained on, each counted once. All val labels count unless the cascade is a zero-shot model that no trained one
    asks: thresholds of prompts are chosen there.

    Raises:
        CascadeError: if the stages were trained on different data.
    """
    stages = [stage for stage in (source, segmenter) if stage is not None]
    runs = [stage.run for stage in stages]
    if len({run.get("data_digest") for run in runs}) > 1:
        raise CascadeError(f"{stages[0].folder} and {stages[1].folder} were trained on different data: train anew")
    zero_shot = source is None and segmenter.run.get("zero_shot", False)
    hashes = [str(run.get("weights_sha256")) for run in runs]
    return {
        "experiment": {
            **identity.model_dump(mode="json"),
            "track": track_of(settings.prompts.source),
            "prompt_source": settings.prompts.source,
        },
        "settings": settings.model_dump(mode="json"),
        "stages": [stage.folder.as_posix() for stage in stages],
        "segmenter": settings.segmenter,
        "prompt_noise": settings.prompts.noise,
        "classes": [MERGED],
        **{name: _sum([run.get(name) for run in runs]) for name in _SUMMED},
        "n_labels_train": len(frozenset().union(*(stage.labelled for stage in stages))),
        "n_labels_val": 0 if zero_shot else int((split["role"] == "val").sum()),
        "peak_memory_train_bytes": _largest([run.get("peak_memory_train_bytes") for run in runs]),
        "notes": joined_notes(runs),
        "batch_parts": _largest([run.get("batch_parts") for run in runs]),
        "zero_shot": zero_shot,
        "weights_source": " + ".join(str(run.get("weights_source") or "none") for run in runs),
        "weights_sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest(),
        "weights_path": segmenter.run.get("weights_path"),
        "device": common([run.get("device") for run in runs if not run.get("zero_shot")]),
        "code_digest": code_digest,
        "data_digest": segmenter.run.get("data_digest"),
        "finished_at": max(run["finished_at"] for run in runs),
        "versions": segmenter.run.get("versions"),
    }


def cascade_timing(own: dict[str, Any], source: dict[str, Any], prompting: dict[str, Any]) -> dict[str, Any]:
    """timing.json of both stages one after the other: ``own`` is that of the second one.

    Stage 1 is the prediction by the experiment that makes the prompts, ``source``, and ``prompting``, the drawing of
    these. Percentiles of the sum are not known. The device is 'mixed' if the stages were timed on different ones.
    """
    first = source["avg_inference_time"] + prompting["avg_prompt_seconds"]
    return own | {
        "avg_inference_time": first + own["avg_inference_time"],
        "infer_seconds_total": first * own["n_images"] + own["infer_seconds_total"],
        "infer_ms_p50": None,
        "infer_ms_p95": None,
        "infer_ms_stage1": 1000 * first,
        "infer_ms_stage2": 1000 * own["avg_inference_time"],
        "peak_memory_infer_bytes": _largest([source.get("peak_memory_infer_bytes"), own["peak_memory_infer_bytes"]]),
        "device": common([source["device"], own["device"]]),
    }


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum; None if a part is not known."""
    return None if None in values else sum(values)


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
