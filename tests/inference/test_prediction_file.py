"""Prediction files: streamed, complete or refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation_fixtures import make_dataset, noisy_maps, random_truth

from defectbench.config.base import MERGED
from defectbench.evaluation.truth import EvaluationError, HeldOutData, ValidationData
from defectbench.inference import prediction_file
from defectbench.inference.prediction_file import (
    PredictionFile,
    PredictionFileError,
    PredictionHeader,
    write_predictions,
)
from defectbench.metrics.codes import codes_from_logits


def some_maps(n, classes, rng):
    return {f"{i:03}.png": rng.integers(0, 65536, (classes, 5 + i % 3, 7)).astype(np.uint16) for i in range(n)}


@pytest.mark.parametrize("classes", [(MERGED,), ("a", "b", "c")])
def test_round_trip_over_several_row_groups(tmp_path, classes):
    maps = some_maps(40, len(classes), np.random.default_rng(0))
    header = PredictionHeader("val", classes, True)
    with write_predictions(tmp_path / "p.parquet", header) as writer:
        for image_id, codes in maps.items():
            writer.add(image_id, codes)
    with PredictionFile(tmp_path / "p.parquet") as file:
        assert file.header == header
        assert file.image_ids() == list(maps)
        read = dict(file)
    assert all((read[image_id] == codes).all() for image_id, codes in maps.items())


def test_large_maps_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_file, "_BYTES_PER_GROUP", 300)  # two classes of 70 and more random bytes
    maps = some_maps(6, 2, np.random.default_rng(0))
    with write_predictions(tmp_path / "p.parquet", PredictionHeader("val", ("a", "b"), True)) as writer:
        for image_id, codes in maps.items():
            writer.add(image_id, codes)
    groups = pq.ParquetFile(tmp_path / "p.parquet")
    assert max(groups.metadata.row_group(i).num_rows for i in range(groups.num_row_groups)) <= 4
    with PredictionFile(tmp_path / "p.parquet") as file:
        read = dict(file)
    assert list(read) == list(maps)
    assert all((read[image_id] == codes).all() for image_id, codes in maps.items())


def test_reading_holds_one_row_group_at_a_time(tmp_path):
    with write_predictions(tmp_path / "p.parquet", PredictionHeader("val", (MERGED,), True)) as writer:
        for image_id, codes in some_maps(40, 1, np.random.default_rng(0)).items():
            writer.add(image_id, codes)
    assert pq.ParquetFile(tmp_path / "p.parquet").num_row_groups == 3
    file = PredictionFile(tmp_path / "p.parquet")
    first = next(iter(file))
    assert first[0] == "000.png"


def write(path, *images):
    with write_predictions(path, PredictionHeader("val", (MERGED,), True)) as writer:
        for image_id, codes in images:
            writer.add(image_id, codes() if callable(codes) else codes)


GOOD = np.zeros((1, 2, 2), np.uint16)


def test_a_map_with_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        write(tmp_path / "p.parquet", ("a.png", GOOD), ("b.png", lambda: codes_from_logits(np.full((1, 2, 2), np.nan))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("codes", [np.zeros((2, 3, 3), np.uint16), np.zeros((1, 3, 3)), np.zeros((3, 3), np.uint16)])
def test_maps_of_the_wrong_form_are_refused(tmp_path, codes):
    with pytest.raises(ValueError, match="expected uint16"):
        write(tmp_path / "p.parquet", ("a.png", codes))


def test_an_image_predicted_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="twice"):
        write(tmp_path / "p.parquet", ("a.png", GOOD), ("a.png", GOOD))


def test_other_files_are_refused(tmp_path):
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(PredictionFileError, match="not a prediction file"):
        PredictionFile(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(PredictionFileError, match="cannot be read"):
        PredictionFile(tmp_path / "text.parquet")
    with pytest.raises(PredictionFileError, match="cannot be read"):
        PredictionFile(tmp_path / "absent.parquet")


def test_files_of_the_earlier_format_are_refused(tmp_path):
    old = pa.schema([("image_id", pa.string())], metadata={b"defectbench.prediction": b"{}"})
    pq.write_table(pa.table({"image_id": ["a"]}, schema=old), tmp_path / "old.parquet")
    with pytest.raises(PredictionFileError, match=r"old\.parquet: written by an earlier version, .*: predict again"):
        PredictionFile(tmp_path / "old.parquet")


def test_rows_out_of_order_are_refused(tmp_path):
    with write_predictions(tmp_path / "p.parquet", PredictionHeader("val", ("a", "b"), True)) as writer:
        for image_id, codes in some_maps(3, 2, np.random.default_rng(0)).items():
            writer.add(image_id, codes)
    table = pq.read_table(tmp_path / "p.parquet")
    pq.write_table(table.take([1, 0, 2, 3, 4, 5]), tmp_path / "p.parquet")
    with pytest.raises(PredictionFileError, match=r"000\.png: not one row for each of"):
        list(PredictionFile(tmp_path / "p.parquet"))


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth(n=9))


def test_missing_images_are_an_error_with_their_number_and_the_first_five(dataset):
    maps = noisy_maps(dataset.truth, merged=True)["val"]
    kept = dict(list(maps.items())[:2])
    path = dataset.predict("val", kept)
    message = r"missing: 7 image\(s\): val_2\.png, val_3\.png, val_4\.png, val_5\.png, val_6\.png, \.\.\."
    with pytest.raises(EvaluationError, match=message):
        ValidationData(PredictionFile(path), dataset.read())


def test_surplus_and_repeated_images_are_an_error(dataset):
    maps = noisy_maps(dataset.truth, merged=True)["val"]
    path = dataset.predict("val", maps | {"stranger.png": np.zeros((1, 4, 4), np.uint16)})
    with pytest.raises(EvaluationError, match=r"not in val: 1 image\(s\): stranger\.png"):
        ValidationData(PredictionFile(path), dataset.read())
    table = pq.read_table(dataset.predict("val", maps))
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    with pytest.raises(EvaluationError, match=r"more than once: 1 image\(s\): val_0\.png"):
        ValidationData(PredictionFile(path), dataset.read())


def test_a_map_of_another_size_or_other_classes_is_an_error(dataset):
    maps = noisy_maps(dataset.truth, merged=True)["test"]
    maps["test_3.png"] = maps["test_3.png"][:, :-1]
    data = HeldOutData(PredictionFile(dataset.predict("test", maps)), dataset.read())
    with pytest.raises(EvaluationError, match=r"test_3\.png: the map is \(8, 20\), the image \(9, 20\)"):
        list(data)
    path = dataset.predict("test", noisy_maps(dataset.truth, merged=True)["test"], classes=("rust",))
    with pytest.raises(EvaluationError, match=r"predicts \('rust',\), the manifest has \('pits', 'cracks'\)"):
        HeldOutData(PredictionFile(path), dataset.read())


def test_truth_is_streamed_as_it_was_labelled(dataset):
    maps = noisy_maps(dataset.truth, merged=False)["test"]
    path = dataset.predict("test", maps, classes=dataset.classes)
    for sample in HeldOutData(PredictionFile(path), dataset.read()):
        assert (sample.truth == dataset.truth["test"][sample.image_id]).all()
        assert (sample.codes == maps[sample.image_id]).all()
        assert sample.group == f"g_{sample.image_id}"
    path = dataset.predict("test", noisy_maps(dataset.truth, merged=True)["test"])
    for sample in HeldOutData(PredictionFile(path), dataset.read()):
        assert (sample.truth[0] == dataset.truth["test"][sample.image_id].any(axis=0)).all()
