"""Run record and timing of the mean of several models: it costs what all of them cost."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defectbench.config.identity import ExperimentIdentity
from defectbench.data.tables import read_names
from defectbench.families.combined_records import common_value, inherited_label_ids, max_known, merge_notes, sum_known
from defectbench.files import read_json
from defectbench.script import UserError

_SUMMED = ("steps", "params_total", "params_trainable", "weights_bytes", "train_seconds")


class MemberError(UserError):
    """Models that cannot be averaged."""


@dataclass(frozen=True)
class Member:
    """One of the models."""

    folder: Path
    weight: float
    run: dict[str, Any]
    timing: dict[str, Any]


def read_members(folders: Sequence[Path], weights: Sequence[float]) -> list[Member]:
    """The models in ``folders``, finished experiments or folds; models of weight 0 are left out.

    Raises:
        MemberError: if they were trained on different data.
    """
    members = [
        Member(Path(folder), weight, read_json(Path(folder) / "run.json"), read_json(Path(folder) / "timing.json"))
        for folder, weight in zip(folders, weights, strict=True)
        if weight > 0
    ]
    for member in members:
        if member.run.get("data_digest") != members[0].run.get("data_digest"):
            raise MemberError(
                f"{member.folder} and {members[0].folder} were trained on different data: train them again"
            )
    return members


def collect_labelled_ids(members: Sequence[Member], subsets: Mapping[Path, Path]) -> frozenset[str]:
    """Ids of the images whose labels any of ``members`` was trained on; ``subsets``: folder -> CSV of its images.

    A member was trained on the first images of its CSV, as many as its record says (none if it is zero-shot), and on
    those behind the weights that it started from.
    """
    subset_ids = ((member, read_names(subsets[member.folder])["image_id"]) for member in members)
    labelled = (image_id for member, ids in subset_ids for image_id in ids[: member.run.get("n_labels_train")])
    return frozenset([*labelled, *inherited_label_ids([member.run for member in members])])


def combined_record(
    identity: ExperimentIdentity,
    settings: dict[str, Any],
    members: Sequence[Member],
    labelled: Collection[str],
    selected_on: Collection[str] = (),
    **facts: Any,
) -> dict[str, Any]:
    """run.json of the mean of ``members``: totals of their costs, and what they have in common.

    ``labelled`` are the ids of images that a member was trained on, each counted once; ``selected_on`` the ids of
    images whose labels decided on members or weights: with any, the mean is not zero-shot, whatever its members are.
    One oracle member makes the track oracle; it is reference if all members are, else automatic. Times of training and
    prediction are added, peak memory is the largest, the time stamp the latest. ``facts`` are added, or replace these.
    """
    runs = [member.run for member in members]
    trained = [run for run in runs if not run.get("zero_shot")]
    experiments = [run["experiment"] for run in runs]
    tracks = {experiment["track"] for experiment in experiments}
    track = tracks.pop() if len(tracks) == 1 else "oracle" if "oracle" in tracks else "automatic"
    # Members that stop early by val images stop by all of them.
    n_labels_val = [run.get("n_labels_val") for run in runs] + [len(set(selected_on) - set(labelled)) or None]
    hashes = " ".join(str(run.get("weights_sha256")) for run in runs)
    return {
        "experiment": {
            **identity.model_dump(mode="json"),
            "track": track,
            "prompt_source": common_value([experiment["prompt_source"] for experiment in experiments]),
        },
        "settings": settings,
        "members": [{"folder": member.folder.as_posix(), "weight": member.weight} for member in members],
        "classes": runs[0].get("classes"),
        **{name: sum_known([run.get(name) for run in runs]) for name in _SUMMED},
        "n_labels_train": len(labelled),
        "n_labels_val": max_known(n_labels_val),
        "labels_of_init_from": inherited_label_ids(runs),
        "peak_memory_train_bytes": max_known([run.get("peak_memory_train_bytes") for run in runs]),
        "notes": merge_notes(runs),
        "problems": merge_notes(runs, "problems"),
        "batch_parts": max_known([run.get("batch_parts") for run in runs]),
        "zero_shot": not trained and not selected_on,
        "weights_source": common_value([run.get("weights_source") for run in runs]),
        "weights_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
        "device": common_value([run.get("device") for run in trained]),
        "data_digest": runs[0].get("data_digest"),
        "finished_at": max(run["finished_at"] for run in runs),
        "versions": runs[0].get("versions"),
    } | facts


def combined_timing(members: Sequence[Member]) -> dict[str, Any]:
    """timing.json of the mean of ``members``, run one after the other.

    Its median is the sum of theirs: near that of the sum, which is not known.
    """
    timings = [member.timing for member in members]
    return {
        "avg_inference_time": sum_known([timing["avg_inference_time"] for timing in timings]),
        "infer_seconds_total": sum_known([timing["infer_seconds_total"] for timing in timings]),
        "infer_ms_p50": sum_known([timing["infer_ms_p50"] for timing in timings]),
        "infer_ms_p95": None,
        "peak_memory_infer_bytes": max_known([timing.get("peak_memory_infer_bytes") for timing in timings]),
        "batch_size": 1,
        "device": common_value([timing["device"] for timing in timings]),
        "load": max_known([timing.get("load") for timing in timings]),
        "n_images": timings[0]["n_images"],
    }
