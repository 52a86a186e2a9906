"""Size and speed of stored maps, beside the same codes as two byte planes in Zstandard, which rounds nothing.

Maps of 256 x 1600: of a small U-Net trained on synthetic strips, after a few steps and at the end, also made
overconfident; of the top-hat; and simulated ones of a decoder of masks. Times are CPU times of one thread.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch

from defectbench.config.families.unet import UNetSettings
from defectbench.data.synthetic import load_prior, steel_strip
from defectbench.families.reference.methods import TopHatOtsu
from defectbench.families.unet.network import UNet
from defectbench.inference.map_codec import compress, decompress
from defectbench.metrics.codes import BIN_OF_CODE, N_CODES, codes_from_logits
from defectbench.metrics.histograms import average_precision, full_histogram
from defectbench.training.losses import make_loss

SIZE = (256, 1600)
CROP = 320
PRIOR = load_prior(Path(__file__).parents[1] / "resources" / "severstal_prior.yaml")
ZSTD = pa.Codec("zstd", compression_level=3)

Strips = list[tuple[np.ndarray, np.ndarray]]


def draw_strips(n: int, seed: int) -> Strips:
    """Images (H, W) uint8 and merged masks (H, W) bool."""
    drawn = (steel_strip(PRIOR, seed=seed, index=index, size=SIZE) for index in range(n))
    return [(image, masks.any(axis=0)) for image, masks in drawn]


def train_unet(strips: Strips, steps: list[int]) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Train on crops, and yield image -> logits (H, W) each time that many ``steps`` have been made."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    settings = UNetSettings(encoder="tu-resnet10t", loss="dice_bce", lr=1e-3)
    network, loss = UNet(settings, 1, 1), make_loss(settings.loss)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr)

    def predict(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.eval()(torch.from_numpy(image)[None, None])[0, 0].numpy()

    for step in range(1, max(steps) + 1):
        chosen = [(strips[i], rng.integers(SIZE[1] - CROP)) for i in rng.integers(len(strips), size=8)]
        images, masks = (
            torch.from_numpy(np.stack([strip[part][:, x : x + CROP] for strip, x in chosen]))[:, None]
            for part in (0, 1)
        )
        optimizer.zero_grad()
        loss(network.train()(images), masks.float()).backward()
        optimizer.step()
        if step in steps:
            yield predict


def decoder_logits(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Logits of a decoder of masks: made at a quarter of the size, enlarged, mostly far below 0."""
    quarter = cv2.resize(truth.astype(np.float32), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    noise = cv2.GaussianBlur(rng.normal(size=quarter.shape), (0, 0), 2)
    logits = 18 * cv2.GaussianBlur(quarter, (0, 0), 2) - 10 + 3 * noise / noise.std()
    return cv2.resize(logits, SIZE[::-1], interpolation=cv2.INTER_LINEAR)


def make_maps(strips: Strips, training: Strips, steps: list[int]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield (what they are, codes of all strips)."""
    logits: list[np.ndarray] = []
    for n, predict in zip(steps, train_unet(training, steps), strict=True):
        logits = [predict(image) for image, _ in strips]
        yield f"U-Net, {n} steps", [codes_from_logits(plane) for plane in logits]
    yield "the same, logits times 5", [codes_from_logits(5 * plane) for plane in logits]
    rng = np.random.default_rng(0)
    yield "mask decoder, simulated", [codes_from_logits(decoder_logits(truth, rng)) for _, truth in strips]
    yield "top-hat", [TopHatOtsu(25, "bright").codes(image)[0] for image, _ in strips]


def compress_plainly(codes: np.ndarray) -> bytes:
    """All high bytes, then all low bytes, in Zstandard."""
    return ZSTD.compress(np.stack([(codes >> 8).astype(np.uint8), codes.astype(np.uint8)]), asbytes=True)


def decompress_plainly(blob: bytes, height: int, width: int) -> np.ndarray:
    """Inverse of :func:`compress_plainly`."""
    high, low = np.frombuffer(ZSTD.decompress(blob, 2 * height * width), np.uint8).reshape(2, height, width)
    return high.astype(np.uint16) << np.uint16(8) | low


def timed(function: Callable[..., object], arguments: list[tuple]) -> tuple[list, float]:
    """Results of all calls, and milliseconds of CPU per call, after one that does not count."""
    function(*arguments[0])
    started = time.process_time()
    results = [function(*each) for each in arguments]
    return results, 1000 * (time.process_time() - started) / len(arguments)


def precision_of_all(maps: list[np.ndarray], strips: Strips) -> float:
    """Average precision over the pixels of all maps."""
    pooled = np.zeros((2, N_CODES), np.int64)
    for codes, (_, truth) in zip(maps, strips, strict=True):
        pooled += full_histogram(codes, truth)
    return average_precision(pooled)


def main() -> None:
    """Print a row for each kind of map."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=40)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 300], help="of the U-Nets' training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    strips, training = draw_strips(args.maps, seed=1), draw_strips(60, seed=2)
    print(
        "| maps | kB before | now | now / before | ms to write before | now | to read before | now | AUPRC | change |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, maps in make_maps(strips, training, args.steps):
        sizes, times = [], []
        for write, read in ((compress_plainly, decompress_plainly), (compress, decompress)):
            blobs, writing = timed(write, [(codes,) for codes in maps])
            found, reading = timed(read, [(blob, *SIZE) for blob in blobs])
            sizes.append(sum(map(len, blobs)) / len(maps) / 1000)
            times.append((writing, reading))
        for codes, stored in zip(maps, found, strict=True):
            assert (BIN_OF_CODE[stored] == BIN_OF_CODE[codes]).all()  # the masks at all 255 thresholds
            assert stored.max() == codes.max()
        exact, change = precision_of_all(maps, strips), precision_of_all(found, strips) - precision_of_all(maps, strips)
        cells = [f"{size:.0f}" for size in sizes] + [f"{sizes[1] / sizes[0]:.2f}"]
        cells += [f"{way[i]:.1f}" for i in (0, 1) for way in times] + [f"{exact:.4f}", f"{change:+.1e}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
