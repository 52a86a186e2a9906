"""A reference method as a predictor, without torch."""

from typing import Any

from defectbench.families.reference.methods import Constant, from_dict
from defectbench.files import read_json
from defectbench.inference.predictor import ModelFiles, Predictor


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The method that the run set up, on the CPU. See :mod:`defectbench.families.contract`."""
    method = from_dict(read_json(files.weights))
    return Predictor(method.codes, "CPU", has_scores=not isinstance(method, Constant))
