"""What looks like folders as in MVTec AD: test/DEFECT, ground_truth/DEFECT and folders of good images."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from defectbench.data.discovery.folder import Candidate, Folder, common_folder
from defectbench.data.discovery.pairs import find_pairs

MASKS_DIR = "ground_truth"


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield the folder in which all folders ground_truth, each beside a folder test, are."""
    masks = [name for name in folder.images if MASKS_DIR in PurePosixPath(name).parts[:-1]]
    products = {PurePosixPath(*_parts(name)[0]) for name in masks}
    tests = {
        product: {PurePosixPath(name).relative_to(product).parts[1] for name in _below(folder, product / "test")}
        for product in products
    }
    if not masks or not all(tests.values()):
        return
    defects = {_parts(name)[1][0] for name in masks}
    good = sorted(set().union(*tests.values()) - defects)
    root = common_folder((product / "any").as_posix() for product in products)
    stems = {PurePosixPath(name).stem for name in masks}
    settings: dict[str, Any] = {"classes": dict(enumerate(sorted(defects), start=1))}
    if not all(stem.endswith("_mask") for stem in stems):
        settings["mask_suffix"] = ""
    if good and good != ["good"]:
        settings["good"] = good[0]
    products_text = f"{len(products)} products" if len(products) > 1 else "one product"
    plainer = (pair.key for pair in find_pairs(folder) if MASKS_DIR in PurePosixPath(pair.masks).parts)
    yield Candidate(
        "mvtec",
        root,
        f"folders test and {MASKS_DIR} of {products_text}: {len(masks):,} masks in the folders"
        f" {', '.join(sorted(defects))}; clean: {', '.join(good) or 'none'}",
        settings,
        root=root,
        instead_of=frozenset({f"mask_folder:{MASKS_DIR}", *plainer}),
    )


def _parts(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Folders above ground_truth, and what is below it."""
    parts = PurePosixPath(name).parts
    at = len(parts) - 1 - parts[::-1].index(MASKS_DIR)
    return parts[:at], parts[at + 1 :]


def _below(folder: Folder, place: PurePosixPath) -> list[str]:
    """Images in folders of ``place``."""
    return [
        name for name in folder.images if place in PurePosixPath(name).parents and PurePosixPath(name).parent != place
    ]
