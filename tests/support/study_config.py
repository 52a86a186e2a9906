"""A small valid study as a dictionary, with changes, and what is wrong with it."""

import copy

import pytest

from defectbench.config.base import ConfigError
from defectbench.config.study import load_study

BASE = {
    "study": "s",
    "dataset": {
        "name": "d",
        "format": "severstal_csv",
        "root": "data",
        "classes": {1: "a", 2: "b"},
        "synthetic": {"n_images": 10},
    },
    "experiments": [{"model": "unet", "encoder": "resnet18"}],
}


def changed(**keys):
    return {**copy.deepcopy(BASE), **keys}


def problems_of(config):
    with pytest.raises(ConfigError) as error:
        load_study(config)
    return error.value.problems
