"""Model families: networks from raw images to logits, and the reference methods."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from defectbench.config.families.unet import UNetSettings
from defectbench.families.reference.methods import (
    Constant,
    TopHatOtsu,
    from_dict,
    list_candidates,
    to_dict,
    tune_top_hat,
)
from defectbench.families.unet.network import UNet
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import NetworkPredictor
from defectbench.metrics.codes import codes_from_logits

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return UNet(UNetSettings(encoder="resnet18"), 1, 2).eval()


@pytest.mark.parametrize("shape", [(40, 70), (64, 96), (33, 31)])
def test_codes_have_the_images_own_size_and_equal_the_networks_logits(network, shape):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    codes = NetworkPredictor(network, Geometry.of("native", "native"), torch.device("cpu"))(image)
    padded = np.pad(image, [(0, -side % 32) for side in shape], mode="edge")
    with torch.inference_mode():
        logits = network(torch.from_numpy(padded)[None, None])[0, :, : shape[0], : shape[1]]
    np.testing.assert_array_equal(codes, codes_from_logits(logits.numpy()))


def test_saved_weights_give_identical_output(network, tmp_path):
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "w.safetensors")
    torch.manual_seed(1)
    again = UNet(UNetSettings(encoder="resnet18"), 1, 2)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    images = torch.from_numpy(RNG.integers(0, 256, (2, 1, 32, 64), dtype=np.uint8))
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), network(images))


def test_a_fresh_network_expects_few_defects(network):
    images = torch.from_numpy(RNG.integers(0, 256, (2, 1, 64, 64), dtype=np.uint8))
    with torch.inference_mode():
        assert torch.sigmoid(network(images)).mean() < 0.3


def spot(value, background=100):
    image = np.full((60, 90), background, np.uint8)
    image[20:24, 30:34] = value
    return image


@pytest.mark.parametrize(("polarity", "value"), [("bright", 200), ("dark", 20), ("both", 200), ("both", 20)])
def test_tophat_finds_small_spots_of_its_polarity(polarity, value):
    actual = TopHatOtsu(9, polarity).logits(spot(value)) > 0
    assert actual[21:23, 31:33].all()
    assert actual.sum() <= 64


def test_tophat_is_blind_to_the_other_polarity():
    assert (TopHatOtsu(9, "bright").logits(spot(20))[21:23, 31:33] <= 0).all()


def test_zero_is_otsus_threshold_and_two_logits_are_a_factor_of_e():
    image = spot(200)
    logits = TopHatOtsu(9, "bright").logits(image)
    centre, flat = logits[22, 32], logits[50, 80]
    # response 100 in the spot's middle, 0 on the flat steel: (response + 1) = (otsu + 1) · e^(score / 2)
    assert np.exp((centre - flat) / 2) == pytest.approx(101, rel=0.02)


def test_tuning_finds_the_polarity_of_the_planted_defects():
    images = {str(i): spot(20) for i in range(3)}
    masks = SimpleNamespace(read_marked=lambda _, merged: (spot(20) < 50)[None].astype(np.uint8))
    assert tune_top_hat(images, masks, ["0", "1", "2"]).polarity in ("dark", "both")
    assert len(list_candidates()) == len(set(list_candidates()))


@pytest.mark.parametrize("model", [TopHatOtsu(15, "dark"), Constant(True), Constant(False)])
def test_reference_models_survive_their_file(model):
    assert from_dict(to_dict(model)) == model


def test_constants_are_all_or_nothing():
    image = np.zeros((5, 7), np.uint8)
    assert (Constant(True).codes(image) == 65535).all()
    assert (Constant(False).codes(image) == 0).all()
    assert Constant(True).codes(image).shape == (1, 5, 7)
