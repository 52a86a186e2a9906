"""Reading a folder on trial, by the same code as ingest: what a candidate's settings give, or why they give nothing."""

import re
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pydantic import ValidationError

from defectbench.config.base import describe_errors
from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import FORMATS
from defectbench.config.scaling import ScalingSettings
from defectbench.data.discovery.folder import Candidate, Doubt, Folder
from defectbench.data.ingest import BadSamplesError, ingest
from defectbench.data.manifest import Manifest, areas
from defectbench.data.preview import count_nouns
from defectbench.data.readers.base import Note
from defectbench.data.tables import read_names
from defectbench.script import UserError

FILL = "'boxes: fill'"
"""The setting that the readers of boxes name."""
_DEEP = re.compile(r"is ([^;]*): if all images are, set dataset.scaling")
_CHANNELS = re.compile(r"has (\d) channels [^;]*dataset.channels")
"""What ingest says of images that need a word."""


@dataclass(frozen=True)
class Trial:
    """What reading a folder by a candidate's settings gave."""

    candidate: Candidate
    settings: DatasetSettings | None = None
    manifest: Manifest | None = None
    """The usable images; None if there are none."""
    problems: tuple[str, ...] = ()
    """Problems of the other samples: 'file: what is wrong'."""
    notes: tuple[Note, ...] = ()
    """What was passed over, or not read as it stands there."""
    failure: str | None = None
    """Why nothing can be read, or why the reading must stop."""

    @property
    def is_read(self) -> bool:
        """Whether there are images with defects, and more usable samples than others."""
        return self.manifest is not None and len(self.frame) > len(self.problems) and self.n_defective > 0

    @property
    def dataset(self) -> DatasetSettings:
        """The settings.

        Raises:
            ValueError: if they were wrong.
        """
        if self.settings is None:
            raise ValueError(self.failure)
        return self.settings

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The manifest's rows."""
        return self.manifest.frame if self.manifest else pd.DataFrame()

    @property
    def n_defective(self) -> int:
        """Images with a defect."""
        return int((areas(self.frame).sum(axis=1) > 0).sum()) if len(self.frame) else 0

    @property
    def median_share(self) -> float:
        """Median share of the pixels of defective images that are defect, 0 to 1."""
        area = areas(self.frame).sum(axis=1)
        share = area / (self.frame["height"].astype(float) * self.frame["width"])
        return float(share[area > 0].median())

    def images_of_class(self) -> dict[str, int]:
        """Class -> images that show it."""
        if self.manifest is None:
            return {}
        return dict(zip(self.manifest.class_names, (areas(self.frame) > 0).sum(axis=0).tolist(), strict=True))

    def kinds_of_problems(self) -> dict[str, list[str]]:
        """Problems by what is wrong, numbers and names aside: the most frequent kind first."""
        kinds: dict[str, list[str]] = {}
        for problem in self.problems:
            what = problem.partition(": ")[2]
            kinds.setdefault(re.sub(r"'[^']*'|\d+", "#", what), []).append(problem)
        return dict(sorted(kinds.items(), key=lambda kind: -len(kind[1])))


def read_on_trial(candidate: Candidate, folder: Folder, name: str, threads: int) -> Trial:
    """Read the ``folder`` by the settings of ``candidate``, for a dataset called ``name``.

    Classes that no image shows are left out, and reported as a doubt.
    """
    form = FORMATS[candidate.format]
    values = {"name": name, "format": candidate.format, "root": folder.path / candidate.root, **candidate.settings}
    try:
        settings = form.model_validate(values)
    except ValidationError as error:
        return Trial(candidate, failure="; ".join(describe_errors(error, form, "dataset")))
    if missing := settings.missing():
        return Trial(candidate, settings, failure="; ".join(missing))
    trial = _read_channels(_read_deep(_read(candidate, settings, threads), threads), threads)
    candidate, settings = trial.candidate, trial.settings or settings
    if boxes := [problem for problem in trial.problems if FILL in problem]:
        text = "among the objects: each is read as a filled rectangle, far more than the defect inside it"
        doubts = (*candidate.doubts, Doubt(f"{count_nouns(len(boxes), 'box')} {text}", "boxes: error"))
        filled = replace(candidate, doubts=doubts, settings=candidate.settings | {"boxes": "fill"})
        trial = _read(filled, settings.model_copy(update={"boxes": "fill"}), threads)
    return _without_unused_classes(trial) if trial.manifest and trial.n_defective else trial


def _read(candidate: Candidate, settings: DatasetSettings, threads: int) -> Trial:
    with tempfile.TemporaryDirectory() as temporary:
        problem_file = Path(temporary) / "problems.csv"
        try:
            tolerant = settings.model_copy(update={"on_bad_sample": "quarantine"})
            manifest, problems, notes = ingest(tolerant, problem_file, threads)
        except BadSamplesError as error:
            return Trial(candidate, settings, problems=_listed(problem_file), failure=str(error).splitlines()[0])
        except UserError as error:
            return Trial(candidate, settings, failure=str(error))
    lines = tuple(_line(problem.file, problem.row, problem.problem) for problem in problems)
    return Trial(candidate, settings, manifest, lines, tuple(notes))


def _read_deep(trial: Trial, threads: int) -> Trial:
    """``trial``, again with scaling if most images are deep; images of another depth are then its problems."""
    deep = Counter(match[1] for problem in trial.problems if (match := _DEEP.search(problem)))
    if trial.settings is None or deep.total() <= len(trial.frame):
        return trial
    counts = ", ".join(f"{count:,} images are {name}" for name, count in deep.most_common())
    text = f"{counts}: scaled between percentiles 0.1 and 99.9 of the training images, not by limits that you know"
    doubts = (*trial.candidate.doubts, Doubt(text, "scaling: {limits: [0, 65535]}"))
    candidate = replace(trial.candidate, doubts=doubts, settings=trial.candidate.settings | {"scaling": {}})
    return _read(candidate, trial.settings.model_copy(update={"scaling": ScalingSettings()}), threads)


def _read_channels(trial: Trial, threads: int) -> Trial:
    """``trial``, again with the number of channels that most images have, if it is neither that of grey nor of RGB."""
    found = Counter(int(match[1]) for problem in trial.problems if (match := _CHANNELS.search(problem)))
    if trial.settings is None or found.total() <= len(trial.frame):
        return trial
    (channels, count), *_ = found.most_common(1)
    text = f"{count:,} images have {channels} channels: is each of them a measurement, none of them transparency?"
    doubts = (*trial.candidate.doubts, Doubt(text))
    candidate = replace(trial.candidate, doubts=doubts, settings=trial.candidate.settings | {"channels": channels})
    return _read(candidate, trial.settings.model_copy(update={"channels": channels}), threads)


def _listed(problem_file: Path) -> tuple[str, ...]:
    if not problem_file.is_file():
        return ()
    return tuple(_line(*row) for row in read_names(problem_file).itertuples(index=False))


def _line(file: str, row: Any, problem: str) -> str:
    return f"{file}{f', row {row}' if row else ''}: {problem}"


def _without_unused_classes(trial: Trial) -> Trial:
    """``trial`` without the classes that no image shows; kept if labels that could not be read may be of them."""
    unused = [name for name, count in trial.images_of_class().items() if not count]
    if not unused or trial.problems or trial.settings is None or trial.manifest is None:
        return trial
    if any(note.finding == "shape left out" for note in trial.notes):
        return trial
    classes = {value: name for value, name in trial.settings.classes.items() if name not in unused}
    kept = [position for position, name in enumerate(trial.manifest.class_names) if name in classes.values()]
    n_classes = len(trial.manifest.class_names)
    frame = trial.frame.assign(
        **{
            # Beyond the classes, the run lengths of ignored pixels.
            column: [
                None if each is None else [*(each[c] for c in kept), *each[n_classes:]] for each in trial.frame[column]
            ]
            for column in ("rle", "area")
        }
    )
    doubt = Doubt(f"no image shows {', '.join(unused)}: left out of classes")
    candidate = trial.candidate
    return replace(
        trial,
        candidate=replace(
            candidate,
            doubts=(*candidate.doubts, doubt),
            settings=candidate.settings | {"classes": classes},
        ),
        settings=trial.settings.model_copy(update={"classes": classes}),
        manifest=replace(
            trial.manifest,
            frame=frame,
            class_names=tuple(classes[value] for value in sorted(classes)),
            class_values=tuple(sorted(classes)),
        ),
    )


def unused_images(trial: Trial, folder: Folder) -> dict[str, int]:
    """Folder -> images in it that are neither images nor labels of the dataset."""
    if trial.settings is None:
        return {}
    used = {folder.name(path) for path in trial.settings.source_files() if path.is_relative_to(folder.path)}
    return dict(Counter(PurePosixPath(name).parent.as_posix() for name in folder.images if name not in used))
