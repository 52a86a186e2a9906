"""File helpers: a file is whole or not there, and its digest is that of its content."""

import hashlib

import pytest

from defectbench.files import atomic, file_sha256, read_json, write_json


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    def write_half():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("no space")

    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError) as failure:
        write_half()
    assert failure.value.__notes__ == [f"while writing {path}"]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made_and_the_suffix_stays_last(tmp_path):
    path = tmp_path / "a" / "b" / "table.parquet"
    with atomic(path) as temporary:
        assert temporary.suffix == ".parquet"
        assert temporary.parent == path.parent
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_nan_and_no_infinity(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_json_comes_back_as_it_was(tmp_path):
    value = {"ü": [1, 0.1, None]}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 5000], ids=len)
def test_the_digest_of_a_file_is_that_of_its_content(tmp_path, content):
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()
