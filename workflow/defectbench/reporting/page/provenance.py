"""Provenance of the numbers: data, code, versions, weights and machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from defectbench.reporting.records import Record


@dataclass(frozen=True)
class Provenance:
    """Facts of the study, and a row per experiment under ``header``."""

    facts: list[tuple[str, str]]
    header: tuple[str, ...]
    rows: list[list[str]]


def provenance(records: Sequence[Record], split: pd.DataFrame) -> Provenance:
    """Collect the provenance of the records; ``split`` has image_id, role, group."""
    roles = split.groupby("role", sort=False).agg(images=("image_id", "size"), groups=("group", "nunique"))
    sizes = [f"{role}: {row.images:,} images in {row.groups:,} groups" for role, row in roles.iterrows()]
    facts = [
        ("data digest", _distinct(records, "data_digest")),
        ("split", "; ".join(sizes)),
        ("test images, digest of ids", _distinct(records, "test_ids_sha256")),
        ("version of the metrics", _distinct(records, "metric_version")),
        ("devices of training", _distinct(records, "train_device")),
        ("devices of prediction", _distinct(records, "device")),
        ("versions", "; ".join(_versions(records))),
    ]
    header = ("experiment", "exp_id", "weights from", "SHA-256 of weights", "code digest", "seed", "training ended")
    rows = [
        [record.name, *(_text(record.row[name]) for name in _OF_ROW)] for record in records
    ]  # fmt: skip
    return Provenance([(name, value) for name, value in facts if value], header, rows)


_OF_ROW = ("exp_id", "weights_source", "weights_sha256", "code_digest", "seed", "timestamp")


def _distinct(records: Sequence[Record], name: str) -> str:
    return "; ".join(dict.fromkeys(str(record.row[name]) for record in records if record.row[name] is not None))


def _versions(records: Sequence[Record]) -> list[str]:
    """Each package with all versions of it that were used."""
    versions_of: dict[str, dict[str, None]] = {}
    for record in records:
        for package, version in (record.run.get("versions") or {}).items():
            versions_of.setdefault(package, {})[version] = None
    return [f"{package} {' and '.join(versions)}" for package, versions in versions_of.items()]


def _text(value: Any) -> str:
    return "–" if value is None or value == "" else str(value)
