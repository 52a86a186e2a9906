"""The contract of a model family: what a family's modules offer to the rest of the library.

A family NAME is

- ``config/families/NAME.py``: its settings, a subclass of :class:`defectbench.config.families.base.FamilySettings`
  (or of ``TrainSettings``, for the common training loop), with its :class:`Traits`, and a row in
  ``config/families/registry.py``; rules, checks, reports and targets follow from these;
- ``families/NAME/training.py`` with a :class:`BuildTraining`, and ``families/NAME/predictor.py`` with a
  :class:`LoadPredictor`; or one module ``families/NAME.py`` with both;
- ``workflow/scripts/train_NAME.py`` and ``predict_NAME.py``: a few lines that name the two functions.

Training and prediction are modules of their own so that an edit of one does not make results of the other stale. No
family imports another one's modules unless it is built on it, and nothing below ``families`` knows any of them.
"""

from typing import Any, Protocol

from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.training.network_job import NetworkJob, Training


class BuildTraining(Protocol):
    """``build_training``: what the common training loop needs to train an experiment of the family.

    Families with a training loop of their own (ultralytics) or none (references, cascades) do without; their script
    writes the same files: weights, ``run.json`` by :meth:`defectbench.training.job.Job.record`, ``history.csv``.
    """

    def __call__(self, settings: Any, job: NetworkJob) -> Training:
        """Build network and loss from the family's ``settings``; ``job`` has images, classes and input files.

        Random weights are those of the seed, which is set before the call. Labels are in ``job.masks``.
        """
        ...


class LoadPredictor(Protocol):
    """``load_predictor``: a trained model as a predictor, the same for val, test, new images and ensembles."""

    def __call__(self, run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
        """Rebuild the model from its run record ``run`` (run.json) and load its weights.

        Args:
            run: ``settings``, ``classes`` and ``in_channels`` are those of the training.
            files: Weights and, where the family has them, base weights and cached features.
            device: 'auto', or a torch device such as 'cpu'.

        Returns:
            A predictor of codes at the image's own pixels, for images of any size. No label is read.
        """
        ...
