"""Labels written in a format and read again are the same."""

import pytest
from exported_datasets import EXPORTED, source_masks, write_exported

from defectbench.data.ingest import ingest
from defectbench.data.manifest import Manifest


def labels_of_files(manifest: Manifest) -> dict[str, list[bytes]]:
    return dict(zip(manifest.frame["sha256"], manifest.frame["rle"].map(list), strict=True))


@pytest.mark.parametrize(("writer", "form"), EXPORTED)
def test_labels_survive(tmp_path, writer, form):
    written, *_ = ingest(source_masks(tmp_path), tmp_path / "found.csv")
    dataset = write_exported(tmp_path, writer, form)
    assert dataset.missing() == []
    read, problems, _ = ingest(dataset, tmp_path / "found.csv")
    assert problems == []
    assert labels_of_files(read) == labels_of_files(written)
