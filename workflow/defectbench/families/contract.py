"""The contract of a model family: the functions that its modules provide.

A family NAME is

- ``config/families/NAME.py``: its settings, a subclass of :class:`defectbench.config.family_settings.FamilySettings`
  (or of ``TrainSettings``, for the common training loop), with its :class:`Traits`, and a row in
  ``config/families/registry.py``; rules, checks, reports and targets follow from these;
- ``families/NAME/training.py`` with a :class:`BuildTraining`, and ``families/NAME/predictor.py`` with a
  :class:`LoadPredictor`; or one module ``families/NAME.py`` with both;
- ``workflow/scripts/train_NAME.py`` and ``predict_NAME.py``: a few lines that name the two functions.

Training and prediction are separate modules, so that an edit of one does not make results of the other stale. A family
imports another's modules only if it is built on it, and nothing below ``families`` imports any of them.
"""

from typing import Any, Protocol

from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.training.network_job import NetworkJob, Training


class BuildTraining(Protocol):
    """``build_training``: network, loss and origin of the weights, for the common training loop.

    Families with another training loop (ultralytics) or none (references, cascades) do not have it; their script writes
    the same files: weights, ``run.json`` by :meth:`defectbench.training.job.Job.record`, ``history.csv``.
    """

    def __call__(self, settings: Any, job: NetworkJob) -> Training:
        """Build network and loss from the family's ``settings``; ``job`` has images, masks, classes and input files.

        The seed is set before the call, so random weights follow from it. True masks are 0, 1 and, in ignored pixels,
        IGNORED: those of :mod:`defectbench.training.losses` leave these out, and so must a loss of the family's own.
        """
        ...


class LoadPredictor(Protocol):
    """``load_predictor``: a trained model as a predictor of val, test and new images, and in ensembles."""

    def __call__(self, run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
        """Rebuild the model from its run record ``run`` (run.json) and load its weights.

        Args:
            run: Has ``settings``, ``classes`` and ``in_channels`` of the training.
            files: Weights and, where the family has them, base weights and cached features.
            device: 'auto', or a torch device such as 'cpu'.

        Returns:
            A predictor of codes at the image's own pixels, for images of any size. No label is read.
        """
        ...
