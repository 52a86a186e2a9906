"""ImageNet normalisation of inputs, and initialisation of output layers."""

import math

from torch import nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Defects are rare: an untrained network starts at this probability everywhere, not at one half, which it would have to
# unlearn first (T.-Y. Lin et al., Focal loss for dense object detection, ICCV 2017, section 4.1).
PRIOR, WEIGHT_STD = 0.05, 0.01


def init_output_layer(layer: nn.Conv2d) -> None:
    """Initialise the last convolution of a segmentation head so that every pixel starts at the probability PRIOR."""
    nn.init.normal_(layer.weight, std=WEIGHT_STD)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, math.log(PRIOR / (1 - PRIOR)))
