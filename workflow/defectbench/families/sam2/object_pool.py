"""The training images' objects, as a training sees them, which prompts on clean places imitate."""

import numpy as np

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import PromptSettings
from defectbench.data.prompts import find_objects
from defectbench.data.rle import encode_coco
from defectbench.families.sam2.prompt_sampling import select_objects
from defectbench.training.dataset import Samples
from defectbench.training.fit import make_batches
from defectbench.training.state import TrainingError

# With 1,000 objects the standard error of any share is 1.6 %, and they are found in seconds.
_ENOUGH = 1000
_MAX_PASSES = 10


def collect_objects(train: Samples, settings: Sam2Settings, fixed: PromptSettings) -> list[bytes]:
    """COCO counts of 1,000 objects, or of those in ten passes, in pixels of the network's input.

    They are the objects that the prompts of a training's first batches ask for: sampled, cropped, scaled and augmented
    as in the training, and a function of its settings and images alone, so that a resumed training has the same.

    Raises:
        TrainingError: if there are none.
    """
    batches, areas, rng = make_batches(train, settings), train.masks.areas(), np.random.default_rng(settings.seed)
    objects: list[bytes] = []
    for number in range(_MAX_PASSES * batches.batches_per_pass):
        for item in batches.batch(number):
            if any(areas[train.image_ids[item[1]]]):
                _, masks, _ = train[item]
                found = find_objects(masks[0].numpy() == 1, fixed.merge_distance)
                objects += map(encode_coco, select_objects(found, settings, rng))
        if len(objects) >= _ENOUGH:
            break
    if not objects:
        raise TrainingError(
            f"no defect in {_MAX_PASSES} passes over the {len(train)} training images, so there is nothing to prompt "
            "for: use a larger subset, larger crops, or another split"
        )
    return objects
