"""Roles of images that whoever made the data has given them: in a split file, by folders or by names."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from defectbench.config.dataset import DatasetSettings
from defectbench.config.split import SplitFile, SplitNames, SplitSettings, folder_role, undecided_roles
from defectbench.data.foreign_text import MAX_SHOWN, TextError, read_table, shorten
from defectbench.data.names import Names
from defectbench.data.preview import preview_names
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.listing_files import listed_roles
from defectbench.data.tables import unmark_formulas
from defectbench.script import UserError


class SplitError(UserError):
    """A split that cannot be made, or cannot be used."""


class GivenRoles(NamedTuple):
    """Roles that are given."""

    roles: pd.Series
    """train, val or test; the image id as index."""
    source: str
    """Where they are from, to be named in messages."""
    rewritten: dict[str, str]
    """Names that are written otherwise there -> image id."""


def read_roles(image_ids: Iterable[str], settings: SplitSettings, dataset: DatasetSettings) -> GivenRoles | None:
    """Roles that the settings say where to find; None if a new split is to be made.

    ``image_ids`` are those of the manifest.

    Raises:
        SplitError: if roles cannot be read, or if folders look like roles and the settings do not say what they mean.
    """
    ids = list(image_ids)
    if problem := undecided_roles(ids, dataset.files_of_roles(), settings, _undecided_lists(dataset, settings)):
        raise SplitError(problem)
    if settings.file is not None:
        return _read_file(settings.file, _on_disk(dataset) or ids, dataset)
    if settings.from_folders:
        return GivenRoles(_by_place(ids, dataset), "split.from_folders", {})
    if settings.from_names is not None:
        return _match_names(settings.from_names, ids)
    return None


def _undecided_lists(dataset: DatasetSettings, settings: SplitSettings) -> Iterable[str | None]:
    """Roles that lists of images give, where no setting says whether they count."""
    if dataset.format != "yolo" or settings.is_decided:
        return []  # of other formats, the names of the lists tell
    try:
        return listed_roles(dataset).values()
    except LabelFileError as error:
        raise SplitError(f"{error}; or set split.from_folders to false for a new split of all images") from None


def _by_place(ids: list[str], dataset: DatasetSettings) -> pd.Series:
    """Roles by the folders that images are in, or else by the files that list them."""
    roles: dict[str, str | None] = {image_id: folder_role(image_id) for image_id in ids}
    if not any(roles.values()):
        roles = {image_id: role for image_id, role in listed_roles(dataset).items() if image_id in roles}
    return pd.Series(roles, dtype=object).dropna()


def _on_disk(dataset: DatasetSettings) -> list[str]:
    """Ids of all images: a file may list those that ingest excluded."""
    folder = dataset.root / dataset.images_dir
    return [path.relative_to(folder).as_posix() for path in dataset.image_files()]


def _match_names(settings: SplitNames, ids: list[str]) -> GivenRoles:
    pattern, source = re.compile(settings.pattern), "split.from_names"
    matches = {image_id: match for image_id in ids if (match := pattern.search(image_id))}
    names = pd.Series({image_id: match[min(1, pattern.groups)] for image_id, match in matches.items()}, dtype=object)
    return GivenRoles(_translate(names, settings.roles, source, source), source, {})


def _read_file(file: SplitFile, ids: list[str], dataset: DatasetSettings) -> GivenRoles:
    path = dataset.root / file.path
    source = f"split file {path}"
    try:
        table = read_table(path, [file.image_column, file.role_column])
    except OSError as error:
        raise SplitError(f"{source}: cannot be read: {error.strerror}") from None
    except TextError as error:
        raise SplitError(f"{source}: {error}") from None
    lacking = [column for column in (file.image_column, file.role_column) if column not in table]
    if lacking:
        raise SplitError(f"{source}: has no column {', '.join(lacking)}; it has {', '.join(table.columns)}")
    known = Names(ids)
    found = {name: known.find(name) or known.find(unmark_formulas(name)) for name in table[file.image_column]}
    if unknown := [
        f"{shorten(name, MAX_SHOWN)}{known.hint(name)}" for name, image_id in found.items() if image_id is None
    ]:
        raise SplitError(f"{source}: not in {dataset.images_dir}: {preview_names(unknown)}")
    names = pd.Series(table[file.role_column].to_numpy(), table[file.image_column].map(found))
    if names.index.has_duplicates:
        raise SplitError(f"{source}: listed twice: {preview_names(names.index[names.index.duplicated()])}")
    return GivenRoles(_translate(names, file.roles, source, "split.file"), source, known.rewritten)


def _translate(names: pd.Series, roles: Mapping[str, str], source: str, key: str) -> pd.Series:
    """Roles by the names that others give them."""
    unknown = [name for name in dict.fromkeys(names) if name not in roles]
    if unknown:
        raise SplitError(
            f"{source}: role names that {key}.roles does not have: {preview_names(unknown, 'names')}; it has "
            f"{', '.join(roles)}"
        )
    return names.map(roles)
