"""Precision of score maps stored as 16-bit codes, of trained networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from defectbench.config.families.unet import UNetSettings
from defectbench.data.synthetic import load_prior, steel_strip
from defectbench.families.unet.network import UNet
from defectbench.metrics.codes import codes_from_logits
from defectbench.metrics.histograms import average_precision, full_histogram
from defectbench.training.losses import make_loss

PRIOR = load_prior(Path(__file__).parents[2] / "resources" / "severstal_prior.yaml")


@pytest.fixture(scope="module")
def strips() -> tuple[torch.Tensor, torch.Tensor]:
    """Defective strips: images (N, 1, H, W) uint8 and merged masks (N, 1, H, W) float."""
    drawn = (steel_strip(PRIOR, seed=5, index=index, size=(32, 128)) for index in range(60))
    images, masks = zip(*[(image, masks.any(axis=0)) for image, masks in drawn if masks.any()], strict=True)
    return torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(np.stack(masks))[:, None].float()


def trained_logits(strips: tuple[torch.Tensor, torch.Tensor], settings: UNetSettings, steps: int) -> np.ndarray:
    """Float logits of the first ten strips of a network trained on all, normalised by their own statistics.

    After so few steps, running statistics are far from those of the last weights.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    images, masks = strips
    network, loss = UNet(settings, 1, 1), make_loss(settings.loss)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr)
    for _ in range(steps):
        chosen = torch.randint(len(images), (4,))
        optimizer.zero_grad()
        loss(network(images[chosen]), masks[chosen]).backward()
        optimizer.step()
    with torch.inference_mode():
        return network(images[:10]).numpy()[:, 0]


@pytest.mark.parametrize(
    ("keys", "steps"),
    [({"loss": "dice_bce"}, 40), ({"loss": "dice_focal", "seed": 1}, 20), ({"loss": "combo", "model": "fpn"}, 40)],
    ids=["unet", "unet-focal", "fpn"],
)
def test_auprc_of_codes_is_that_of_the_float_logits(strips, keys, steps):
    logits = trained_logits(strips, UNetSettings(encoder="resnet18", lr=3e-3, **keys), steps)
    truth = strips[1][:10, 0].bool().numpy()
    for factor in (1, 6):  # 6: an overconfident network
        floats = factor * logits.astype(np.float64)
        expected = average_precision_score(truth.ravel(), floats.ravel())
        found = average_precision(full_histogram(codes_from_logits(floats), truth))
        assert expected > 2 * truth.mean()  # it has learnt something
        assert found == pytest.approx(expected, abs=1e-3)
