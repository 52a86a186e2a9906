"""The sam2 package's own predictor, and images for it."""

import numpy as np
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

from defectbench.families.sam2.network import NativeSam2


def picture(seed: int, height: int = 64, width: int = 96, channels: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (channels, height, width), dtype=np.uint8))


def official(network: NativeSam2, side: int, version: str = "2.1") -> SAM2ImagePredictor:
    """The package's predictor with the same weights, for square images of ``side``."""
    config = f"configs/sam{version}/sam{version}_hiera_t.yaml"
    sam = build_sam2(
        config, device="cpu", apply_postprocessing=False, hydra_overrides_extra=[f"model.image_size={side}"]
    )
    missing, unexpected = sam.load_state_dict(network.state_dict(), strict=False)
    assert not unexpected
    assert not [name for name in missing if name.startswith(("image_encoder", "sam_"))]
    predictor = SAM2ImagePredictor(sam)
    predictor._bb_feat_sizes = [(side // 4, side // 4), (side // 8, side // 8), (side // 16, side // 16)]
    return predictor
