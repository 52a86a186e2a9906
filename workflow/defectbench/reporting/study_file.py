"""The study of a folder as text: a commented configuration file, and what is printed beside it."""

import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from defectbench.config.proposal import Hardware, Proposal
from defectbench.data.discovery.folder import Doubt
from defectbench.data.discovery.roles import Roles
from defectbench.data.discovery.trial import Trial
from defectbench.data.preview import count_nouns, preview_list
from defectbench.printable import printable

WIDTH = 116  # characters of a comment's line


@dataclass(frozen=True)
class NewStudy:
    """All that is known of a study to be written."""

    name: str
    trial: Trial
    roles: Roles
    proposal: Proposal | None
    """None for data without images."""
    size: str
    hardware: Hardware
    unused: Mapping[str, int]
    """Folder -> images in it that are not used."""
    sheet: Path | None
    """The contact sheet."""

    @property
    def configfile(self) -> str:
        """Path of the file."""
        return f"config/{self.name}.yaml"

    def dataset(self) -> dict[str, Any]:
        """The section dataset."""
        candidate, root = self.trial.candidate, self.trial.dataset.root
        inside = root.resolve().is_relative_to(Path.cwd())
        place = os.path.relpath(root) if inside else str(root.resolve())
        return {"name": self.name, "format": candidate.format, "root": place, **candidate.settings}

    def config(self) -> dict[str, Any]:
        """The whole study as Snakemake will read it."""
        experiments = [entry.settings for entry in self.proposal.entries] if self.proposal else []
        defaults = {"defaults": self.proposal.defaults} if self.proposal else {}
        sections = {"study": self.name, "dataset": self.dataset(), "split": self.roles.settings}
        return {**sections, **defaults, "experiments": experiments}

    def dataset_doubts(self) -> list[Doubt]:
        """What is doubtful about images and labels: of the format, then of single samples and of files left over."""
        doubts = list(self.trial.candidate.doubts)
        for what, problems in self.trial.kinds_of_problems().items():
            several = f"{len(problems):,} samples cannot be used, the first: {problems[0]}"
            text = problems[0] if len(problems) == 1 else several
            key = "exif: upright" if "exif" in what else "on_bad_sample: quarantine"
            doubts.append(Doubt(text, key))
        for finding, count in Counter(note.finding for note in self.trial.notes).items():
            first = next(note for note in self.trial.notes if note.finding == finding)
            doubts.append(Doubt(f"{finding} ({count:,}), the first: {first.sample}: {first.detail}"))
        if (share := self.trial.median_share) > 0.5:
            text = (
                f"half of the defective images are defect by more than {share:.0%}: are defect and background swapped?"
            )
            doubts.append(Doubt(text))
        if self.unused:
            places = preview_list(f"{count:,} in {place}" for place, count in self.unused.items())
            doubts.append(Doubt(f"{count_nouns(sum(self.unused.values()), 'image')} not used: {places}"))
        if self.proposal and self.trial.n_defective < 20:
            doubts.append(
                Doubt(f"only {self.trial.n_defective} images show a defect: hardly any difference can be significant")
            )
        return doubts

    def doubts(self) -> list[Doubt]:
        """All doubts, in the order of the file."""
        return [*self.dataset_doubts(), *self.roles.doubts]


def study_text(study: NewStudy) -> str:
    """The configuration file."""
    parts = [
        "# yaml-language-server: $schema=schema.json",
        *_comment(f"{study.name}, found in a folder by `make study`:"),
        "#",
        *(line for fact in facts(study.trial) for line in _comment(f"- {fact}")),
        "#",
        f"#   snakemake --cores all --resources gpu={max(1, study.hardware.gpus)} --configfile {study.configfile}",
        "#",
        *_comment(cost(study)),
        *(["#", *_comment(f"Look at {study.sheet}: the labels as they were read.")] if study.sheet else []),
        *_comment(_to_check(study)),
        "",
        f"study: {study.name}",
        "",
        "dataset:",
        *_comment(f"Found: {study.trial.candidate.evidence}.", "  "),
        *_keys(study.dataset()),
        *_doubt_lines(study.dataset_doubts()),
        "",
        "split:",
        *_comment(f"Found: {study.roles.found}.", "  "),
        *_keys(study.roles.settings),
        *_doubt_lines(study.roles.doubts),
        "",
    ]
    if study.proposal is None:
        return "\n".join([*parts, "experiments: []", ""])
    parts += [
        "# For every experiment whose family has the key. images_seen: docs/training_modes.md, Budget.",
        f"defaults: {_flow(study.proposal.defaults)}",
        "",
        "# A list of values is a grid: every combination is one experiment.",
        "experiments:",
    ]
    for entry in study.proposal.entries:
        parts += [*_comment(entry.comment, "  "), f"  - {_flow(entry.settings)}"]
    return "\n".join([*parts, ""])


def report_lines(study: NewStudy) -> Iterable[str]:
    """What was found, what is doubtful, and where it was written, for the terminal."""
    yield f"{study.name}: {study.trial.candidate.evidence}"
    for fact in facts(study.trial):
        yield f"  {fact}"
    yield f"  {study.roles.found}"
    if study.roles.split is not None:
        counts = study.roles.split["role"].value_counts()
        yield "  " + ", ".join(f"{role} {counts[role]:,}" for role in ("train", "val", "test"))
    doubts = study.doubts()
    yield ""
    yield f"{count_nouns(len(doubts), 'doubt')}; each is a comment in {study.configfile}:" if doubts else "No doubts."
    for doubt in doubts:
        yield from textwrap.wrap(doubt.text, WIDTH, initial_indent="  ? ", subsequent_indent="    ", **_WORDS)
        if doubt.key:
            yield f"      {doubt.key}"
    yield ""
    yield cost(study)


def facts(trial: Trial) -> list[str]:
    """What the images and labels are, with counts."""
    frame = trial.frame
    n_images = len(frame)
    sizes = Counter(zip(frame["height"], frame["width"], strict=True))
    (usual, count), *_ = sizes.most_common(1)
    size = f"{usual[0]} × {usual[1]} pixels (height × width)"
    if len(sizes) > 1:
        size = f"{len(sizes):,} sizes, {count:,} images of {size}"
    lines = [
        f"{count_nouns(n_images, 'image')}: {trial.n_defective:,} defective, {n_images - trial.n_defective:,} clean; "
        f"{size}"
    ]
    of_class = ", ".join(f"{name} {count:,}" for name, count in trial.images_of_class().items())
    lines.append(f"{count_nouns(len(trial.images_of_class()), 'class')}, with the images that show each: {of_class}")
    if trial.dataset.has_images:
        suffixes = Counter(PurePosixPath(image_id).suffix for image_id in frame["image_id"])
        stored = Counter(frame["stored_as"])
        lines.append(f"stored as {_counts(suffixes)}; {_counts(stored)}")
    return lines


def _counts(counter: Counter[str]) -> str:
    if len(counter) == 1:
        return next(iter(counter))
    return ", ".join(f"{name} {count:,}" for name, count in counter.most_common())


def cost(study: NewStudy) -> str:
    """What the study takes, as a sentence."""
    if study.proposal is None:
        return "Nothing is trained."
    hours = study.proposal.hours
    duration = count_nouns(max(1, round(60 * hours)), "minute") if hours < 1.5 else f"{hours:.{hours < 10:d}f} hours"
    return (
        f"Size {study.size}, for {study.hardware}: {count_nouns(study.proposal.trainings, 'training')}, about "
        f"{duration} one after another, an estimate. After a first run `make plan CONFIG={study.configfile}` counts by "
        "what jobs took here."
    )


def _to_check(study: NewStudy) -> str:
    doubts = len(study.doubts())
    return (
        f"{count_nouns(doubts, 'comment')} with DOUBT below: what the data do not tell; check each, then delete it."
        if doubts
        else ""
    )


_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def _comment(text: str, indent: str = "", label: str = "") -> list[str]:
    """``text`` as lines of comments; none if it is empty."""
    start = f"{indent}# {label}"
    # What YAML takes for the end of a line would end the comment.
    return (
        textwrap.wrap(printable(text), WIDTH, initial_indent=start, subsequent_indent=f"{indent}# ", **_WORDS)
        if text
        else []
    )


def _doubt_lines(doubts: Sequence[Doubt]) -> list[str]:
    lines = []
    for doubt in doubts:
        lines += _comment(doubt.text, "  ", "DOUBT: ")
        key = printable(doubt.key).replace("\n", " ")
        lines += [f"  # {key}"] if key else []
    return lines


def _keys(values: Mapping[str, Any]) -> list[str]:
    return [f"  {key}: {_flow(value)}" for key, value in values.items()]


def _flow(value: Any) -> str:
    """``value`` as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("...").rstrip("\n")
