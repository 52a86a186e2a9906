"""Networks learn real images by heart: what fails here cannot learn anything."""

import cv2
import numpy as np
import pytest
import torch
from tiny_training import run_fit

from defectbench.config.families.unet import UNetSettings
from defectbench.families.unet.network import UNet
from defectbench.inference.geometry import Geometry
from defectbench.training.losses import make_loss


class NeuImages:
    """Eight images of NEU-Seg with large defects, at half size: training and validation samples alike."""

    def __init__(self, folder, n=8):
        self.images, self.masks = [], []
        self.task, self.geometry = "merged", Geometry.of("native", "native")
        for path in sorted((folder / "masks").glob("*.png")):
            mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if (mask > 0).mean() > 0.1:
                image = cv2.imread(str(folder / "images" / f"{path.stem}.jpg"), cv2.IMREAD_GRAYSCALE)
                self.images.append(cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)[None])
                self.masks.append(
                    (cv2.resize(mask, (96, 96), interpolation=cv2.INTER_NEAREST) > 0)[None].astype("uint8")
                )
            if len(self.images) == n:
                break

    def __len__(self):
        return len(self.images)

    def true_masks(self, index):
        return self.masks[index]

    def __getitem__(self, item):
        return torch.from_numpy(self.images[item[1]]), torch.from_numpy(self.masks[item[1]]), item[1]


# Not PSPNet and DeepLabV3: at an eighth of this size their maps are too coarse for the outlines.
@pytest.mark.slow
@pytest.mark.parametrize("model", ["unet", "unetplusplus", "fpn", "linknet", "deeplabv3plus", "dsc_unet"])
def test_eight_real_images_are_learned_by_heart(model, real_data, tmp_path):
    data = NeuImages(real_data / "neu_seg")
    settings = UNetSettings(
        model=model, encoder="resnet18", batch_size=8, steps=120, eval_every=40, lr=2e-3, wd=0, precision="fp32"
    )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = UNet(settings, 1, 1)
    history = run_fit("overfit", network, make_loss("dice_bce"), data, data, settings, tmp_path).history
    assert history["val_dice_fixed"].max() > 0.95
    assert np.isfinite(history["train_loss"][1:]).all()
