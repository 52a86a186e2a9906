"""Training prompts that another experiment predicts: its objects as a further plane of the training images' masks.

So they are cropped, scaled and augmented together with the true objects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from defectbench.data.packing import Window
from defectbench.data.prompt_file import PromptError, read_prompts
from defectbench.data.prompts import Prompt
from defectbench.data.rle import decode_coco
from defectbench.script import required
from defectbench.training.dataset import Samples
from defectbench.training.network_job import NetworkJob


@dataclass(frozen=True)
class PromptedSamples(Samples):
    """Samples whose last mask is that of all objects predicted in the image."""

    predicted: Mapping[str, Sequence[Prompt]] = field(default_factory=dict)
    """Prompts of kind 'mask' by image."""

    def read_masks(self, image_id: str, window: Window) -> np.ndarray:
        """True mask, and mask of the predicted objects: (2, h, w) uint8."""
        shape = self.images[image_id].shape[:2]
        plane = np.zeros(shape, np.uint8)
        for prompt in self.predicted[image_id]:
            if prompt.rle is not None:
                plane |= decode_coco(prompt.rle, *shape)
        return np.concatenate([super().read_masks(image_id, window), plane[window][None]])


def add_predicted_objects(job: NetworkJob, source: str) -> None:
    """Add the out-of-fold objects of the experiment ``source`` to the training samples, and its labels to those seen.

    The folds' models together have seen the labels of all images that they predict.

    Raises:
        PromptError: if they are of test images, or not of all training images.
    """
    path = required(job.files.train_prompts, "--train-prompts")
    prompts = read_prompts(path, source)
    test = set(job.split.loc[job.split["role"] == "test", "image_id"])
    if leaking := sorted(test & prompts.keys()):
        raise PromptError(f"{path}: has predictions of {len(leaking)} test images, such as {leaking[0]}: make it again")
    if missing := sorted(set(job.train_ids) - prompts.keys()):
        raise PromptError(f"{path}: lacks {len(missing)} training images, such as {missing[0]}: make it again")
    job.train = PromptedSamples(**vars(job.train), predicted=prompts)
    job.count_labels(prompts)
    job.notes.append(f"trained with out-of-fold boxes of {source}, which has seen all labels of train and val")
