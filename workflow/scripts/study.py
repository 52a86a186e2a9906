"""Write a study for a folder of images and labels: `make study DATA=folder NAME=mydata`.

Finds format, layout, classes, roles and oddities; prints what it found and what it doubts; draws a contact sheet of the
labels as they were read; writes config/NAME.yaml, with experiments that fit the number of labels, the images and the
hardware.
"""

import argparse
import os
import re
import sys
from pathlib import Path

import yaml

from defectbench.config.dataset import NAME
from defectbench.config.ingest import FORMATS
from defectbench.config.proposal import SIZES, Hardware, Size, propose_experiments
from defectbench.config.study import load_study
from defectbench.data.discovery import find_candidates
from defectbench.data.discovery.folder import Folder
from defectbench.data.discovery.roles import Roles, propose_split
from defectbench.data.discovery.trial import Trial, read_on_trial, unused_images
from defectbench.data.manifest import areas
from defectbench.data.tables import csv_text
from defectbench.files import write_text
from defectbench.printable import printable
from defectbench.reporting.plots.contact_sheet import contact_sheet, read_pictures
from defectbench.reporting.plots.style import save
from defectbench.reporting.study_file import NewStudy, report_lines, study_text
from defectbench.script import UserError, run_script

MOST_KINDS = 3
"""Kinds of problems that are shown of a way to read the folder that fails."""


@run_script
def main(argv: list[str] | None = None) -> None:
    """Look into the folder, choose the one way to read it, and write the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of images and labels")
    parser.add_argument("--name", required=True, help="of the study and the dataset")
    parser.add_argument("--format", default="", help="FORMAT or FORMAT:LABELS, where several are possible")
    parser.add_argument("--size", choices=SIZES, default="usual", help="how much is trained (default: %(default)s)")
    parser.add_argument("--image-size", default="", help="HEIGHTxWIDTH of the images of a table without images")
    parser.add_argument("--force", action="store_true", help="replace config/NAME.yaml")
    args = parser.parse_args(argv)

    configfile = Path("config", f"{args.name}.yaml")
    _check(args.name, args.data, configfile, args.force)
    folder = Folder(args.data, _image_size(args.image_size))
    trial = choose(folder, args.name, args.format)
    table = Path("config", f"{args.name}_split.csv")
    roles = propose_split(trial, folder, str(table.resolve()))
    study = propose(trial, roles, folder, args.name, args.size)
    text = study_text(study)
    if roles.table is not None:
        write_text(table, csv_text(roles.table))
    load_study(yaml.safe_load(text), str(configfile))
    if study.sheet is not None and trial.manifest is not None:
        role_of = {} if roles.split is None else dict(zip(roles.split["image_id"], roles.split["role"], strict=True))
        pictures = read_pictures(trial.manifest, trial.dataset.root, role_of)
        save(contact_sheet(pictures, trial.manifest, f"{trial.candidate.evidence}."), study.sheet)
    write_text(configfile, text)
    print(*map(printable, report_lines(study)), sep="\n")
    print(f"\nWritten: {configfile}{f', {study.sheet}: look at both' if study.sheet else ''}")


def choose(folder: Folder, name: str, wanted: str) -> Trial:
    """Read the folder in each way that is possible, and return the only one that gives labelled images.

    Raises:
        UserError: if there is none, or if there are several; with all that was found.
    """
    candidates = find_candidates(folder)
    chosen = [one for one in candidates if wanted in ("", one.format, one.key)]
    if not chosen:
        found = "\n".join(f"  {one.key}: {one.evidence}" for one in candidates) or "  nothing that looks like labels"
        unpack = "\nParquet or Arrow files are unpacked by workflow/scripts/unpack_hugging_face.py: docs/formats.md"
        raise UserError(
            f"{folder.path}: no labels{f' of the format {wanted}' if wanted else ''} found among {len(folder.images):,}"
            f" images and {len(folder.walk.files) - len(folder.images):,} other files. Found:\n{found}\n"
            f"Formats that can be read: {', '.join(FORMATS)}; how each lays out its files: docs/study_from_folder.md"
            + (unpack if folder.names(".parquet", ".arrow") else "")
        )
    trials = [read_on_trial(one, folder, name, os.cpu_count() or 1) for one in chosen]
    read = [trial for trial in trials if trial.is_read]
    needless = frozenset().union(*(trial.candidate.instead_of for trial in read))
    good = [trial for trial in read if trial.candidate.key not in needless or wanted == trial.candidate.key]
    for trial in trials:
        if len(good) == 1 and not trial.is_read:
            print(printable(f"Not read as {trial.candidate.key}: {_outcome(trial)}"), file=sys.stderr)
    if len(good) == 1:
        return good[0]
    lines = "\n".join(f"  FORMAT={trial.candidate.key}\n    {_outcome(trial)}" for trial in good or trials)
    if good:
        raise UserError(f"{folder.path} can be read in {len(good)} ways; choose one:\n{lines}")
    raise UserError(f"{folder.path} looks like this, but cannot be read:\n{lines}")


def propose(trial: Trial, roles: Roles, folder: Folder, name: str, size: Size) -> NewStudy:
    """The study of a folder that was read."""
    hardware = _hardware()
    proposal = None
    if trial.dataset.has_images:
        n_train = len(trial.frame) if roles.split is None else int((roles.split["role"] == "train").sum())
        proposal = propose_experiments(
            size,
            n_train=n_train,
            n_classes=len(trial.dataset.classes),
            has_clean=trial.n_defective < len(trial.frame),
            height=int(trial.frame["height"].median()),
            width=int(trial.frame["width"].median()),
            hardware=hardware,
            channels=int(trial.frame["channels"].max()),
        )
    sheet = Path("results", name, "contact_sheet.png") if proposal else None
    return NewStudy(name, trial, roles, proposal, size, hardware, unused_images(trial, folder), sheet)


def _check(name: str, data: Path, configfile: Path, force: bool) -> None:
    if not re.fullmatch(NAME, name):
        raise UserError(f"NAME={name!r} is not a name; use letters, digits, '-' and '_'")
    if not data.is_dir():
        raise UserError(f"DATA: no such folder: {data}")
    if configfile.exists() and not force:
        raise UserError(f"{configfile} exists: give another NAME, or FORCE=1 to replace it")


def _image_size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise UserError(f"IMAGE_SIZE={text!r}: give HEIGHTxWIDTH in pixels, e.g. 256x1600")
    return int(match[1]), int(match[2])


def _outcome(trial: Trial) -> str:
    """What reading gave: a line, and one for each kind of problem."""
    found = trial.failure or "no image with a defect"
    if trial.manifest is not None and trial.n_defective:
        found = f"{len(trial.frame):,} images read, {trial.n_defective:,} of them defective"
        found += f", {areas(trial.frame).sum():,} pixels; {len(trial.problems):,} problems"
    kinds = list(trial.kinds_of_problems().values())[:MOST_KINDS]
    problems = [f"{len(kind):,} like this: {kind[0]}" for kind in kinds]
    doubts = [doubt.text for doubt in trial.candidate.doubts] if trial.failure else []
    return "\n    ".join([f"{trial.candidate.evidence}; {found}", *problems, *doubts])


def _hardware() -> Hardware:
    import torch

    return Hardware(len(os.sched_getaffinity(0)), torch.cuda.device_count() if torch.cuda.is_available() else 0)


if __name__ == "__main__":
    main()
