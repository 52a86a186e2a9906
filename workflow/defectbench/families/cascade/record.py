"""Run record and timing of a cascade: totals of its two stages."""

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
from defectbench.data.tables import read_names
from defectbench.families.combined_records import common_value, inherited_label_ids, max_known, merge_notes, sum_known
from defectbench.files import read_json
from defectbench.script import UserError

_SUMMED = ("params_total", "params_trainable", "weights_bytes", "train_seconds")


class CascadeError(UserError):
    """Stages that cannot be combined."""


@dataclass(frozen=True)
class Stage:
    """One of the two experiments."""

    folder: Path
    run: dict[str, Any]
    labelled: frozenset[str]
    """Ids of the images that it, or the weights it started from, was trained on; none of a zero-shot model."""

    @classmethod
    def read(cls, folder: Path, subsets: Sequence[Path]) -> Self:
        """Read the record in the folder of a finished experiment, and the CSV files of its training images."""
        run = read_json(folder / "run.json")
        paths = subsets if run.get("n_labels_train") != 0 else ()
        ids = (image_id for path in paths for image_id in read_names(path)["image_id"])
        return cls(folder, run, frozenset([*ids, *inherited_label_ids([run])]))


def cascade_record(
    identity: ExperimentIdentity,
    settings: ResolvedCascade,
    source: Stage | None,
    segmenter: Stage,
    split: pd.DataFrame,
    code_digest: str,
) -> dict[str, Any]:
    """run.json: totals of the stages' costs, and their origins; ``source`` None if no model made the prompts.

    The track follows from the prompts' source alone. An image that both stages were trained on counts once among the
    training labels. All val labels count, since thresholds of prompts are chosen on them, unless the cascade is a
    zero-shot model with fixed or oracle prompts.

    Raises:
        CascadeError: if the stages were trained on different data.
    """
    stages = [stage for stage in (source, segmenter) if stage is not None]
    runs = [stage.run for stage in stages]
    if len({run.get("data_digest") for run in runs}) > 1:
        raise CascadeError(
            f"{stages[0].folder} and {stages[1].folder} were trained on different data: train them again"
        )
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
        **{name: sum_known([run.get(name) for run in runs]) for name in _SUMMED},
        "n_labels_train": len(frozenset().union(*(stage.labelled for stage in stages))),
        "n_labels_val": 0 if zero_shot else int((split["role"] == "val").sum()),
        "peak_memory_train_bytes": max_known([run.get("peak_memory_train_bytes") for run in runs]),
        "notes": merge_notes(runs),
        "problems": merge_notes(runs, "problems"),
        "batch_parts": max_known([run.get("batch_parts") for run in runs]),
        "zero_shot": zero_shot,
        "weights_source": " + ".join(str(run.get("weights_source") or "none") for run in runs),
        "weights_sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest(),
        "weights_path": segmenter.run.get("weights_path"),
        "device": common_value([run.get("device") for run in runs if not run.get("zero_shot")]),
        "code_digest": code_digest,
        "data_digest": segmenter.run.get("data_digest"),
        "finished_at": max(run["finished_at"] for run in runs),
        "versions": segmenter.run.get("versions"),
    }


def cascade_timing(segmenter: dict[str, Any], source: dict[str, Any], prompting: dict[str, Any]) -> dict[str, Any]:
    """timing.json of both stages one after the other.

    Stage 1 is prediction by the experiment that makes the prompts, ``source``, and drawing them, ``prompting``; stage 2
    is the ``segmenter``. The median is the sum of the stages' medians: near that of the sum, which is not known. The
    device is 'mixed' if the stages were timed on different ones.
    """
    prompting_ms = 1000 * prompting["avg_prompt_seconds"]
    first = source["avg_inference_time"] + prompting["avg_prompt_seconds"]
    medians = sum_known([source["infer_ms_p50"], prompting_ms]), segmenter["infer_ms_p50"]
    return segmenter | {
        "avg_inference_time": first + segmenter["avg_inference_time"],
        "infer_seconds_total": first * segmenter["n_images"] + segmenter["infer_seconds_total"],
        "infer_ms_p50": sum_known(medians),
        "infer_ms_p95": None,
        "infer_ms_stage1": medians[0],
        "infer_ms_stage2": medians[1],
        "peak_memory_infer_bytes": max_known(
            [source.get("peak_memory_infer_bytes"), segmenter["peak_memory_infer_bytes"]]
        ),
        "device": common_value([source["device"], segmenter["device"]]),
        "load": max_known([source.get("load"), segmenter.get("load")]),
    }
