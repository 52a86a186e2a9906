"""Splits of the images into train, val and test, drawn or given, and into folds."""

import re
from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd

from defectbench.config.split import SplitSettings
from defectbench.data.duplicates import label_components
from defectbench.data.given_roles import GivenRoles, SplitError
from defectbench.data.manifest import areas
from defectbench.data.preview import preview_names
from defectbench.data.strata import assign_strata

# In rising order of protection from leaks: a picture in two roles is dropped from the earlier one.
ROLES = ("train", "val", "test")
COLUMNS = ["image_id", "role", "group"]
EXPORTED = r"([^/]+)\.rf\.[0-9A-Za-z]+\.[^./]+$"
"""Names that Roboflow gives to images: name.rf.hash.jpg. It exports augmented copies of one under the same name."""
LEAK_COLUMNS = ["dropped_image_id", "dropped_role", "kept_image_id", "kept_role"]


def make_split(frame: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """Split the images of a manifest's ``frame`` by the shares and counts in ``settings``.

    Each role gets its share of every stratum (classes shown x third of defect area) as nearly as whole groups
    allow; a group is never divided. The same seed gives the same split.

    Returns columns image_id, role, group.

    Raises:
        SplitError: if the counts need more images, ``group_by`` does not match, or a role would stay empty, or val
            without a defect.
    """
    frame = _add_groups(frame, settings.group_by)
    shares = _shares({"train": settings.train, "val": settings.val, "test": settings.test}, len(frame))
    split = frame[["image_id", "group"]].assign(role=stratified_roles(frame, shares, settings.seed))[COLUMNS]
    _check_usable(frame, split)
    return split


def make_folds(frame: pd.DataFrame, split: pd.DataFrame, k: int, seed: int) -> pd.DataFrame:
    """Split the train and val images of ``split`` into ``k`` folds, as similar as the roles of :func:`make_split`.

    The test images are in no fold: cross-validation must not see them. ``frame`` is of the manifest.

    Returns columns image_id, fold (0 ... k - 1), group.

    Raises:
        SplitError: if a fold would have no defect.
    """
    groups = split.loc[split["role"] != "test", ["image_id", "group"]]
    pool = frame[["image_id", "area"]].merge(groups, on="image_id")
    pool["fold"] = stratified_roles(pool, dict.fromkeys(range(k), 1 / k), seed).astype(np.int64)
    with_defects = pool.loc[areas(pool).sum(axis=1) > 0, "fold"].nunique()
    if with_defects < k:
        raise SplitError(
            f"only {with_defects} of {k} folds would have a defect: lower split.n_folds "
            f"({len(pool)} train and val images in {pool['group'].nunique()} groups)"
        )
    return pool[["image_id", "fold", "group"]]


def _add_groups(frame: pd.DataFrame, group_by: str | None) -> pd.DataFrame:
    """``frame`` with the groups of same pictures united with the groups of the pattern ``group_by``.

    A united group is named by the first of its matches. Without a pattern, images of a Roboflow export are grouped by
    their name before the hash.
    """
    if group_by is None:
        exported = _exported_names(frame["image_id"])
        return frame if exported.isna().all() else _unite_groups(frame, exported.fillna(frame["image_id"]))
    pattern = re.compile(group_by)
    matches = [pattern.search(image_id) for image_id in frame["image_id"]]
    names = pd.Series([match and match[min(1, pattern.groups)] for match in matches], frame.index, dtype=object)
    unmatched = frame.loc[names.isna(), "image_id"]
    if len(unmatched):
        raise SplitError(f"split.group_by: {group_by!r} does not match {preview_names(unmatched)}")
    return _unite_groups(frame, names)


def _exported_names(image_ids: pd.Series) -> pd.Series:
    """Name before the hash of each image of a Roboflow export, missing for all other images."""
    return image_ids.str.extract(EXPORTED)[0]


def export_note(image_ids: pd.Series) -> str | None:
    """Note on the names of a Roboflow export for a split without ``group_by``; None if no two share a name."""
    names = _exported_names(image_ids).dropna()
    if not names.duplicated().any():
        return None
    return (
        f"{len(names):,} images are named as Roboflow names copies (name.rf.hash), and have {names.nunique():,} names. "
        "Images of one name are taken for copies of one picture and never divided, unless split.group_by is set."
    )


def _unite_groups(frame: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """``frame`` with its groups united where ``names``, one per row, are the same."""
    name, group = pd.factorize(names)[0], pd.factorize(frame["group"])[0]
    # Names and groups are the nodes of a graph, and every image joins its two.
    n_names = name.max() + 1
    component = label_components(n_names + group.max() + 1, np.stack([name, n_names + group], axis=1))[name]
    return frame.assign(group=names.groupby(component).transform("min"))


def _shares(wanted: dict[str, float], n: int) -> dict[Hashable, float]:
    """Share of ``n`` images of each role; a number from 1 is a count, and the others share the rest."""
    counts = {role: number / n for role, number in wanted.items() if number >= 1}
    parts = sum(number for number in wanted.values() if number < 1)
    left = 1 - sum(counts.values())
    if left <= 0:
        requested = ", ".join(f"{role}: {wanted[role]:g}" for role in counts)
        raise SplitError(f"{n} images are too few for {requested} in split: lower the counts, or add images")
    return {role: counts.get(role, left * number / parts) for role, number in wanted.items()}


def stratified_roles(frame: pd.DataFrame, shares: Mapping[Hashable, float], seed: int) -> np.ndarray:
    """Role of each image of ``frame``, (N,) of keys of ``shares``; whole groups, stratified."""
    group, names = pd.factorize(frame["group"], sort=True)
    size = np.bincount(group)
    area = np.zeros((len(names), areas(frame).shape[1]))
    np.add.at(area, group, areas(frame))
    # Ids are sorted and only then shuffled, so the order of the rows does not matter.
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(assign_strata(area / size[:, None])[order], kind="stable")]
    roles = np.empty(len(names), dtype=object)
    roles[order] = _assign_roles(size[order].tolist(), shares)
    return roles[group]


def _assign_roles(sizes: list[int], shares: Mapping[Hashable, float]) -> list[Hashable]:
    """Assign each group, in turn, to the role that lacks most of its share so far.

    The lack of a role is carried from stratum to stratum, so that small strata are not rounded away and, with groups
    of one image, no role ends an image or more from its share.
    """
    lacking = dict.fromkeys(shares, 0.0)
    roles = []
    for size in sizes:
        for role, share in shares.items():
            lacking[role] += share * size
        role = max(lacking, key=lacking.__getitem__)
        lacking[role] -= size
        roles.append(role)
    return roles


def apply_roles(frame: pd.DataFrame, settings: SplitSettings, given: GivenRoles) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the images of a manifest's ``frame`` the roles of ``given``.

    Pictures (with ``group_by``, groups) in two roles stop the run or, with ``on_leak: drop_from_train``, are dropped
    from the earlier role of train, val, test. Val images are then taken from train, if there are none.

    Returns the split (columns image_id, role, group; without the dropped images) and the dropped images
    (columns LEAK_COLUMNS).

    Raises:
        SplitError: if images have no role, or the roles leak, or give a split that cannot be used.
    """
    frame = _add_groups(frame, settings.group_by)
    roles = given.roles
    unlisted = frame.loc[~frame["image_id"].isin(roles.index), "image_id"]
    if len(unlisted):
        raise SplitError(f"{given.source}: no role for {preview_names(unlisted)}")
    split = frame[["image_id", "group"]].assign(role=frame["image_id"].map(roles))[COLUMNS]
    leaks = find_leaks(split)
    if len(leaks) and settings.on_leak == "error":
        kind = "group" if settings.group_by else "picture"
        pairs = (f"{row[0]} ({row[1]}) = {row[2]} ({row[3]})" for row in leaks.itertuples(index=False))
        note = export_note(frame["image_id"]) if settings.group_by is None else None
        raise SplitError(
            f"{given.source}: the same {kind} in two roles: {preview_names(pairs, 'pairs')}\n"
            "Mend the roles, or set split.on_leak: drop_from_train to continue without the first of each pair."
            + (f"\n{note}" if note else "")
        )
    split = split[~split["image_id"].isin(leaks["dropped_image_id"])]
    train = frame[frame["image_id"].isin(split.loc[split["role"] == "train", "image_id"])]
    if len(train) and not (split["role"] == "val").any():
        # Beside a count, the share of train is that of all the rest, whatever it is.
        wanted = {"train": 1 - settings.val if settings.val < 1 else 0.5, "val": settings.val}
        split.loc[train.index, "role"] = stratified_roles(train, _shares(wanted, len(train)), settings.seed)
    _check_usable(frame, split)
    return split, leaks


def find_leaks(split: pd.DataFrame) -> pd.DataFrame:
    """Images of ``split`` whose group is also in a later role of train, val, test, each with an image of that role.

    Returns columns LEAK_COLUMNS.
    """
    rank = split["role"].map(ROLES.index)
    last = rank.groupby(split["group"]).transform("max")
    latest = split[rank == last].drop_duplicates("group")
    pairs = split[rank < last].merge(latest, on="group", suffixes=("_dropped", "_kept"))
    columns = ["image_id_dropped", "role_dropped", "image_id_kept", "role_kept"]
    return pairs[columns].set_axis(LEAK_COLUMNS, axis=1)


def _check_usable(frame: pd.DataFrame, split: pd.DataFrame) -> None:
    """Raise SplitError if ``split`` is not usable to train, calibrate and test."""
    counts = split["role"].value_counts()
    empty = [role for role in ROLES if role not in counts]
    if empty:
        raise SplitError(
            f"no image for {' and '.join(empty)} among {len(split)}, in {split['group'].nunique()} groups: "
            "raise its share in split, correct the roles that are given, or add images"
        )
    defective = frame.loc[areas(frame).sum(axis=1) > 0, "image_id"]
    if not split.loc[split["role"] == "val", "image_id"].isin(defective).any():
        raise SplitError(
            f"none of the {counts['val']} val images has a defect, so no threshold can be chosen on them: "
            "raise split.val, change split.seed, or correct the roles that are given"
        )


def split_table(frame: pd.DataFrame, split: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Contents of each role: columns role, images, clean, and per class ``{class}_images`` and ``{class}_area``."""
    area = pd.DataFrame(areas(frame), index=frame["image_id"], columns=class_names).loc[split["image_id"]]
    role = split["role"].to_numpy()
    table = pd.DataFrame({"images": 1, "clean": (area.sum(axis=1) == 0).astype(int)})
    for name in class_names:
        table[f"{name}_images"] = (area[name] > 0).astype(int)
        table[f"{name}_area"] = area[name]
    return table.groupby(role).sum().reindex(ROLES).rename_axis("role").reset_index()
