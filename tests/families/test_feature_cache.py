"""Kept features: read only where the encoder would make the same again, and never for nothing in a timing."""

import importlib.metadata
import types
from typing import NamedTuple

import pytest
import torch

from defectbench.code_digest import CodeDigests
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam3.features import PhraseFeatureCache
from defectbench.inference import encoder_clock
from defectbench.inference.encoder_clock import MEASURED, TimedEncoder
from defectbench.models.feature_cache import FeatureCache, encoder_digest

WEIGHTS = "a" * 64


class Levels(NamedTuple):
    fine: torch.Tensor
    coarse: torch.Tensor


def pictures(n: int, height: int = 8, width: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)


class Encoder:
    """Counts its images; what it makes has channels last in memory, as convolutions may leave it."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.n_images = 0

    def __call__(self, images: torch.Tensor) -> Levels:
        self.n_images += len(images)
        values = (images.float() + self.offset).to(memory_format=torch.channels_last)
        return Levels(values, values.mean(dim=(2, 3)))


def cache_of(encoder, folder, weights=WEIGHTS, code="0123"):
    return FeatureCache(encoder, Levels, folder, weights, code)


@pytest.fixture
def threads():
    """As many threads as before, after the test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_same_encoder_reads_what_it_made_bit_for_bit(tmp_path):
    images, first, second = pictures(3), Encoder(), Encoder()
    made = cache_of(first, tmp_path).encode(images)
    again = cache_of(second, tmp_path)
    parts = [again.encode(image[None]) for image in images]
    assert (first.n_images, second.n_images) == (3, 0)
    for name, level in Encoder()(images)._asdict().items():
        actual = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(actual, level)
        assert torch.equal(actual, getattr(made, name))
        assert actual.stride() == getattr(made, name).stride()


def test_other_code_or_weights_make_their_own_features(tmp_path):
    images = pictures(2)
    cache_of(Encoder(), tmp_path).encode(images)
    for other in ({"code": "4567"}, {"weights": "b" * 64}):
        assert torch.equal(cache_of(Encoder(1), tmp_path, **other).encode(images).fine, images + 1.0)


def test_another_number_of_threads_makes_its_own_features(tmp_path, threads):
    images, encoder = pictures(2), Encoder()
    for n_threads, n_images in ((1, 2), (2, 4), (1, 4)):
        torch.set_num_threads(n_threads)
        cache_of(encoder, tmp_path).encode(images)
        assert encoder.n_images == n_images


def test_another_precision_makes_its_own_features(tmp_path):
    images, encoder = pictures(1), Encoder()
    cache_of(encoder, tmp_path).encode(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cache_of(encoder, tmp_path).encode(images)
    assert encoder.n_images == 2


def test_another_processor_makes_its_own_features(tmp_path, monkeypatch):
    images, encoder = pictures(1), Encoder()
    for name in ("one", "other"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {"cpu_name": name})
        cache_of(encoder, tmp_path).encode(images)
    assert encoder.n_images == 2


def test_what_other_code_made_is_deleted_and_nothing_else(tmp_path):
    images = pictures(2)
    cache_of(Encoder(), tmp_path, weights="b" * 64).encode(images)
    (tmp_path / "notes.txt").write_text("mine")
    for code in ("0123", "4567"):
        cache_of(Encoder(), tmp_path, code=code).encode(images)
    assert sorted(path.name for path in (tmp_path / WEIGHTS[:16]).iterdir()) == ["4567"]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_cache_whose_files_another_process_deletes_computes_them_again(tmp_path):
    images, encoder = pictures(2), Encoder()
    mine = cache_of(encoder, tmp_path)
    made = mine.encode(images)
    cache_of(Encoder(), tmp_path, code="4567")
    assert torch.equal(mine.encode(images).fine, made.fine)
    assert torch.equal(mine.encode(images).fine, made.fine)
    assert encoder.n_images == 4


def test_the_digest_of_an_encoder_changes_with_its_code_but_not_with_its_comments(tmp_path):
    module = types.ModuleType("encoder")
    module.__file__ = str(tmp_path / "encoder.py")
    digests = []
    for code in ("SCALE = 1", "SCALE = 1  # of pixels", "SCALE = 2"):
        (tmp_path / "encoder.py").write_text(code + "\n")
        digests.append(encoder_digest("numpy", module))
    assert digests[0] == digests[1] != digests[2]


def test_the_digest_of_an_encoder_changes_with_the_versions(monkeypatch):
    actual = [encoder_digest("sam2")]
    with monkeypatch.context() as patched:
        patched.setattr(torch, "__version__", "0.1")
        actual.append(encoder_digest("sam2"))
    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata, "version", lambda package: {"sam2": "0.1"}[package])
        actual.append(encoder_digest("sam2"))
    assert len(set(actual)) == 3
    assert encoder_digest("sam2") == actual[0]


@pytest.mark.parametrize("cache", [EmbeddingCache, PhraseFeatureCache])
def test_an_edit_of_what_defines_builds_or_keeps_an_encoder_counts(cache, tmp_path, monkeypatch):
    def folder(edited: str | None):
        of = CodeDigests.of

        def edit(self, script, within):
            assert within == ("defectbench.models", "defectbench.families")
            return of(self, script, within) + ("edited" if script.match(str(edited)) else "")

        with monkeypatch.context() as patched:
            patched.setattr(CodeDigests, "of", edit)
            return cache(types.SimpleNamespace(encode=None), tmp_path, WEIGHTS).folder

    family = "sam2" if cache is EmbeddingCache else "sam3"
    edited = [f"{family}/network.py", f"{family}/weights.py", "models/feature_cache.py"]
    assert len({folder(name) for name in [None, *edited]}) == 4
    assert folder("families/sam2/predictor.py") == folder(None)


class Clock:
    """A clock that only the test moves, in place of the module ``time``."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def timed_cache(folder, monkeypatch, seconds):
    """A timed encoder on a machine where an image takes ``seconds``, a file 5; its clock, and its encoder."""
    clock, encoder = Clock(), Encoder()
    monkeypatch.setattr(encoder_clock, "time", clock)

    def encode(images):
        clock.now += seconds(images)
        return encoder(images)

    cache = cache_of(encode, folder)
    read, write = cache.read, cache.write

    def slowly(part):
        def call(*arguments):
            clock.now += 5
            return part(*arguments)

        return call

    cache.read, cache.write = slowly(read), slowly(write)
    return TimedEncoder(cache), encoder


def test_time_is_that_of_this_process_whoever_filled_the_cache(tmp_path, monkeypatch):
    images = pictures(4 * MEASURED)
    elsewhere, _ = timed_cache(tmp_path, monkeypatch, lambda images: 2.0)
    for image in images[: 3 * MEASURED]:
        elsewhere.encode(image[None])
    here, encoder = timed_cache(tmp_path, monkeypatch, lambda images: 0.01)
    for number, image in enumerate(images):
        before = here.clock()
        features = here.encode(image[None])
        assert here.clock() - before == pytest.approx(0.01)
        assert torch.equal(features.fine, image[None].float())
        # The first are encoded for their time, the last because nobody has yet.
        assert encoder.n_images == min(number + 1, MEASURED) + max(number + 1 - 3 * MEASURED, 0)


def test_images_of_each_size_have_their_own_time(tmp_path, monkeypatch):
    sizes = [(8, 12), (8, 24)]
    timed, encoder = timed_cache(tmp_path, monkeypatch, lambda images: images.shape[-1])
    for _ in range(MEASURED + 2):
        for size in sizes:
            before = timed.clock()
            timed.encode(pictures(1, *size))
            assert timed.clock() - before == pytest.approx(size[1])
    assert encoder.n_images == 2 * MEASURED


def test_an_image_that_is_read_counts_as_the_median_not_as_a_cold_start(tmp_path, monkeypatch):
    times = iter([9.0, *[1.0] * (MEASURED - 1)])
    timed, _ = timed_cache(tmp_path, monkeypatch, lambda images: next(times))
    for _ in range(MEASURED):
        timed.encode(pictures(1))
    before = timed.clock()
    timed.encode(pictures(1))
    assert timed.clock() - before == pytest.approx(1.0)
