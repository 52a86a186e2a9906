"""CNNs with a presence head: what it is trained on, and how it is combined with the map."""

from typing import get_args

import numpy as np
import predict_unet as predict_script
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import log_loss
from tiny_training import Squares, run_fit
from unet_training import options, train, write_packs

from defectbench.config.families.unet import UNetSettings
from defectbench.data.packing import ImagePack
from defectbench.families.unet.network import UNet
from defectbench.families.unet.task import PresenceTask
from defectbench.inference.prediction_file import PredictionFile
from defectbench.training.losses import make_loss

MODELS = set(get_args(UNetSettings.model_fields["model"].annotation)) - {"dsc_unet"}
QUICK = {"encoder": "tu-test_resnet", "threads": 1, "precision": "fp32", "presence_head": True}


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_pixel_counts_only_where_map_and_presence_agree(model):
    torch.manual_seed(0)
    network = UNet(UNetSettings(model=model, encoder="resnet18", presence_head=True), 1, 2).eval()
    images = torch.randint(0, 256, (3, 1, 64, 96), dtype=torch.uint8)
    # Both outputs on either side of p = 0.5.
    network.network.segmentation_head[0].weight.data *= 300
    network.network.segmentation_head[0].bias.data.zero_()
    network.network.classification_head[3].bias.data = torch.tensor([0.05, -0.05])
    with torch.inference_mode():
        maps, presence = network.network((images.float() / 255 - network.mean) / network.std)
        combined = network(images)
    expected = (maps.sigmoid() >= 0.5) & (presence.sigmoid() >= 0.5)[..., None, None]
    assert torch.equal(combined.sigmoid() >= 0.5, expected)
    assert (combined.sigmoid() <= maps.sigmoid()).all()
    assert (combined.amax(dim=(2, 3)) <= presence).all()


def test_dsc_unet_has_no_presence_head():
    with pytest.raises(ValueError, match="dsc_unet"):
        UNetSettings(model="dsc_unet", presence_head=True)


class Fixed(torch.nn.Module):
    """Gives the same outputs for all images."""

    def __init__(self, maps, presence):
        super().__init__()
        self.maps, self.presence = torch.nn.Parameter(maps), torch.nn.Parameter(presence)

    def forward(self, images):
        return self.maps, self.presence


def test_presence_is_that_of_each_sample_and_map():
    rng = torch.Generator().manual_seed(1)
    maps, presence = torch.randn(2, 3, 8, 8, generator=rng), torch.randn(2, 3, generator=rng)
    masks = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    masks[0, 1, 2, 3] = masks[1, 0, 4:, :] = 1
    shown = [0, 1, 0, 1, 0, 0]
    plain = make_loss("dice_bce")
    network = Fixed(maps, presence)
    task = PresenceTask("x", network, plain, UNetSettings(**QUICK), 1, None, ("a", "b", "c"))
    loss, combined, _ = task.training_outputs(None, masks, None)
    expected = plain(maps, masks).item() + log_loss(shown, presence.sigmoid().double().flatten())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(combined, torch.minimum(maps, presence[:, :, None, None]))
    # The map learns from its own loss alone, whatever the presence is.
    loss.backward()
    alone = maps.clone().requires_grad_()
    plain(alone, masks).backward()
    torch.testing.assert_close(network.maps.grad, alone.grad)


def test_it_learns_which_images_are_clean(tmp_path):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    settings = UNetSettings(**QUICK, lr=3e-3, batch_size=6, steps=40, eval_every=40, patience=9, loss="dice_bce")
    network, data = UNet(settings, 1, 1), Squares(12)
    run_fit("x", network, make_loss(settings.loss), data, data, settings, tmp_path, make_task=PresenceTask)
    images, masks, _ = zip(*(data[0, index] for index in range(12)), strict=True)
    x = (torch.stack(images).float() / 255 - network.mean) / network.std
    with torch.inference_mode():
        _, presence = network.network.eval()(x)
    assert ((presence[:, 0] >= 0).numpy() == np.array([mask.any() for mask in masks])).all()


def test_the_presence_of_a_tile_is_its_own(tmp_path):
    folder = write_packs(tmp_path)
    keys = {"task": "per_class", "mode": "crops", "crop": "32x32", "prediction": "tiles", "overlap": 0}
    run, weights = train(folder, tmp_path, presence_head=True, **keys)
    outputs = {name: tmp_path / f"{name}.parquet" for name in ("val", "test")}
    files = {"run": tmp_path / "exp" / "run.json", "weights": weights, "timing": tmp_path / "timing.json"}
    predict_script.main(options(**files, **outputs, pack=folder / "packed", split=folder / "split.csv"))
    ((image_id, codes),) = PredictionFile(outputs["test"])
    network = UNet(UNetSettings.model_validate(run["settings"]), 1, len(run["classes"])).eval()
    network.load_state_dict(load_file(weights))
    image = torch.from_numpy(np.array(ImagePack(folder / "packed")[image_id]))[None, None]
    for rows in (slice(0, 32), slice(32, 64)):
        for columns in (slice(0, 32), slice(32, 64)):
            with torch.inference_mode():
                (expected,) = network(image[..., rows, columns])
            # A code is a 512th of a logit.
            assert np.abs((codes[:, rows, columns] - 32768.0) / 512 - expected.numpy()).max() < 0.01
