"""Roles that images have been given with the data, and images that belong together: a split that respects both."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from defectbench.config.dataset import DatasetSettings
from defectbench.config.split import ROLE_FOLDERS, SplitSettings, file_role, folder_role
from defectbench.data.discovery.folder import Doubt, Folder
from defectbench.data.discovery.trial import Trial
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.given_roles import GivenRoles, SplitError, read_roles
from defectbench.data.names import Names
from defectbench.data.preview import count_nouns
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.listing_files import listed_roles
from defectbench.data.splits import apply_roles, make_split
from defectbench.script import UserError

FEW_IMAGES = 200
"""Below, val and test get more than a tenth each."""
FOUND_SHARE = 0.9
"""Share of the names in a table or list that must be images, for it to be of these images."""
PARTS = (r"^(.+)[_-]\d+[_-]\d+\.[^.]+$", r"^(.+)[_-][A-Za-z]*\d+\.[^.]+$")
"""Names of parts of one picture or object: with a place, two numbers, or with one number or a word and a number."""
FEWEST_GROUPS = 5
LARGEST_GROUP = 0.2
"""Share of all images; a larger group would be a series of numbered images."""


@dataclass(frozen=True)
class Roles:
    """A split, and how it came about."""

    settings: dict[str, Any]
    """The section split of a study."""
    found: str
    """Whose roles these are, for people."""
    split: pd.DataFrame | None
    """Columns image_id, role, group; None if no split can be made."""
    doubts: tuple[Doubt, ...] = ()
    table: pd.DataFrame | None = None
    """Columns image and split, to be written as a file; None if roles can be read where they are."""


class _Given(NamedTuple):
    """Roles that the data have."""

    found: str
    settings: dict[str, Any]
    table: pd.DataFrame | None = None


def propose_split(trial: Trial, folder: Folder, table_path: str) -> Roles:
    """The split of a dataset that was read: by the roles that came with it, else a new one.

    Roles that no key of the study could name where they are, such as lists of names, become a table, to be written to
    ``table_path``.
    """
    kept: list[Roles] = []
    doubts: list[Doubt] = []
    for given in _given_roles(trial, folder, table_path):
        roles = _keep(given, trial)
        if roles.split is None:
            doubts += roles.doubts
        else:
            kept.append(roles)
    first = kept[0] if kept else _divide(trial, {"from_folders": False} if doubts else {})
    doubts += [
        Doubt(f"{first.found}, but {other.found} are others: they are not used")
        for other in kept[1:]
        if not _agree(first, other)
    ]
    doubts += [*first.doubts, *_doubt_groups(trial.frame["image_id"].tolist())]
    return replace(first, doubts=tuple(doubts))


def _agree(first: Roles, other: Roles) -> bool:
    """Whether two splits have the same test images: train and val may be drawn again."""
    test = [
        set() if roles.split is None else {*roles.split.loc[roles.split["role"] == "test", "image_id"]}
        for roles in (first, other)
    ]
    return test[0] == test[1]


def _given_roles(trial: Trial, folder: Folder, table_path: str) -> Iterator[_Given]:
    """Yield the roles that split files, folders, lists of names and label files give."""
    ids = trial.frame["image_id"].tolist()
    names = Names(ids)
    for name in folder.tables():
        table = folder.table(name)
        found_columns = None if table is None else _role_columns(table, names)
        if table is not None and found_columns is not None:
            image_column, role_column = found_columns
            path = os.path.relpath(folder.path / name, trial.dataset.root)
            columns = {"image_column": image_column, "role_column": role_column}
            yield _Given(name, {"file": {"path": path, **columns, "roles": _map_roles(table[role_column])}})
    yield from _folder_roles(ids)
    if {"train", "test"} <= {file_role(name) for name in trial.dataset.files_of_roles()}:
        yield _Given("the names of the label files", {"from_folders": True})
    if _contradict(trial.dataset):
        yield _Given("the file of class names", {"from_folders": True})  # reading them says why they are not kept
    for found, listed in (*_lists(folder, names), ("the label files", _of_label_files(trial, folder))):
        if len(set(listed.values())) > 1:
            table = pd.DataFrame({"image": listed.keys(), "split": listed.values()})
            file = {"path": table_path, "roles": _map_roles(listed.values())}
            yield _Given(found, {"file": file}, table)


def _folder_roles(ids: Sequence[str]) -> Iterator[_Given]:
    """Yield the roles that folders give, if they do."""
    parts = {image_id: part for image_id in ids if (part := _role_folder(image_id))}
    roles = _map_roles(parts.values())
    if len(set(roles.values())) > 1:
        found = f"the folders {', '.join(roles)}"
        if all(folder_role(f"{name}/x") == role for name, role in roles.items()):
            yield _Given(found, {"from_folders": True})
        else:
            pattern = f"(?:^|/)({'|'.join(map(re.escape, roles))})/"
            yield _Given(found, {"from_names": {"pattern": pattern, "roles": roles}})


def _role_columns(table: pd.DataFrame, names: Names) -> tuple[str, str] | None:
    """The column of images and the column of roles, if the table has both."""
    roles = [
        column
        for column in table.columns
        if (values := {value.lower() for value in table[column]}) <= ROLE_FOLDERS.keys() and len(values) > 1
    ]
    images = [column for column in table.columns if _are_images(table[column], names)]
    return (images[0], roles[0]) if roles and images else None


def _are_images(cells: Sequence[str], names: Names) -> bool:
    return len(cells) > 0 and sum(names.find(cell) is not None for cell in cells) >= FOUND_SHARE * len(cells)


def _lists(folder: Folder, names: Names) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield lists called train.txt, val.txt and so on, of a folder each: where they are; image -> name of the list."""
    by_stem = {PurePosixPath(name).with_suffix("").name: name for name in names.names}
    found: dict[str, dict[str, str]] = {}
    for list_name in folder.names(".txt"):
        path = PurePosixPath(list_name)
        if path.stem.lower() not in ROLE_FOLDERS:
            continue
        try:
            lines = [line.split()[0] for line in read_text(folder.path / list_name).splitlines() if line.strip()]
        except (OSError, TextError):
            continue
        images = [by_stem.get(PurePosixPath(line).with_suffix("").name) or by_stem.get(line) for line in lines]
        listed = [image for image in images if image is not None]
        if listed and len(listed) >= FOUND_SHARE * len(lines):
            found.setdefault(path.parent.as_posix(), {}).update(dict.fromkeys(listed, path.stem))
    for place, role_of in found.items():
        yield f"lists of names in {place}", role_of


def _contradict(dataset: DatasetSettings) -> bool:
    """Whether the roles of images in YOLO's file of class names cannot be read, or some images have several."""
    try:
        if dataset.format == "yolo":
            listed_roles(dataset)
    except LabelFileError:
        return True
    return False


def _of_label_files(trial: Trial, folder: Folder) -> dict[str, str]:
    """Image id -> name of the role that the label files give it."""
    top = trial.dataset.root / trial.dataset.images_dir
    places = {folder.path / name: role for name, role in trial.candidate.roles.items()}
    return {path.relative_to(top).as_posix(): role for path, role in places.items() if path.is_relative_to(top)}


def _role_folder(image_id: str) -> str | None:
    """The folder that gives an image its role."""
    return next((part for part in PurePosixPath(image_id).parts[:-1] if folder_role(f"{part}/x")), None)


def _map_roles(names: Iterable[str]) -> dict[str, str]:
    """Name -> role; without test images, the val images are those."""
    roles = {name: str(folder_role(f"{name}/x") or "train") for name in sorted({*names})}
    if "test" not in roles.values():
        roles = {name: "test" if role == "val" else role for name, role in roles.items()}
    return roles


def _keep(given: _Given, trial: Trial) -> Roles:
    """The split by ``given`` roles; leaks are dropped from train, and what was done is a doubt."""
    doubts = []
    settings = given.settings
    roles = {**settings.get("file", {}), **settings.get("from_names", {})}.get("roles", {})
    if swapped := [name for name, role in roles.items() if role == "test" and ROLE_FOLDERS.get(name.lower()) == "val"]:
        doubts.append(
            Doubt(
                f"there is no test role: {swapped[0]!r} is taken for it, as what was held out, and val images are"
                " drawn from train"
            )
        )
    try:
        split, n_leaks = _try(settings, given, trial)
    except (SplitError, LabelFileError) as error:
        return Roles({}, "", None, (Doubt(f"roles by {given.found} are not kept: {_first_line(error)}"),))
    if n_leaks:
        settings = settings | {"on_leak": "drop_from_train"}
        doubts.append(
            Doubt(
                f"{count_nouns(n_leaks, 'image')} with the same picture as one of a later role (train, val, test):"
                " dropped from the earlier role, and reports say so; or stop at them",
                "on_leak: error",
            )
        )
    return Roles(settings, f"roles by {given.found}", split, tuple(doubts), given.table)


def _try(settings: dict[str, Any], given: _Given, trial: Trial) -> tuple[pd.DataFrame, int]:
    """The split by ``given`` roles, as the run will make it, and how many images are dropped because they leak."""
    checked = SplitSettings.model_validate(settings | {"on_leak": "drop_from_train"})
    if given.table is None:
        roles = read_roles(trial.frame["image_id"], checked, trial.dataset)
    else:
        names = given.table.set_index("image")["split"]
        roles = GivenRoles(names.map(settings["file"]["roles"]), given.found, {})
    if roles is None:
        raise SplitError("none were found")
    split, leaks = apply_roles(trial.frame, checked, roles)
    return split, len(leaks)


def _divide(trial: Trial, settings: dict[str, Any]) -> Roles:
    """A new split; of few images, larger shares for val and test, so that they have defects."""
    few = len(trial.frame) < FEW_IMAGES
    settings |= {"train": 0.6, "val": 0.2, "test": 0.2} if few else {"train": 0.8, "val": 0.1, "test": 0.1}
    settings |= {"seed": 42}
    found = "no roles were given with the data: a new split, by what the images show"
    try:
        return Roles(settings, found, make_split(trial.frame, SplitSettings.model_validate(settings)))
    except SplitError as error:
        return Roles(settings, found, None, (Doubt(f"no split can be made yet: {_first_line(error)}"),))


def _doubt_groups(ids: Sequence[str]) -> list[Doubt]:
    """The doubt whether images are parts of one picture or object, if their names look like it."""
    for pattern in PARTS:
        matches = [re.search(pattern, image_id) for image_id in ids]
        groups = Counter(match[1] for match in matches if match)
        if not all(matches) or not FEWEST_GROUPS <= len(groups) <= len(ids) / 2:
            continue
        (name, count), *_ = groups.most_common(1)
        if count <= LARGEST_GROUP * len(ids):
            text = (
                f"names look as if the {len(ids):,} images were parts of {len(groups):,} pictures or objects"
                f" ({count} of {name}): if so, parts of one must not be in two roles"
            )
            return [Doubt(text, f"group_by: '{pattern}'")]
    return []


def _first_line(error: UserError) -> str:
    return str(error).splitlines()[0]
