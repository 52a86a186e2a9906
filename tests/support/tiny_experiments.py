"""The smallest experiment of each family, trained by its script on ten small images.

A family whose smallest experiment is not the one with its defaults has a line in OVERRIDES.
"""

import importlib
import re
from pathlib import Path

import numpy as np
from tiny_packs import call
from yolo_data import shapes

from defectbench.config.families.registry import FAMILIES, model_names
from defectbench.config.family_settings import FamilySettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.runtime import RuntimeSettings
from defectbench.inference.prediction_file import PredictionFile

SIZE, TEST_SIZE = (64, 96), (70, 101)
TRUTH = {f"{i:02d}.png": shapes(*(TEST_SIZE if i == 9 else SIZE), seed=i) * (i % 4 > 0) for i in range(10)}
ROLES = dict(zip(TRUTH, ["train"] * 6 + ["val"] * 2 + ["test"] * 2, strict=True))
# Given to every family that has the key.
QUICK = {
    **{"steps": 2, "eval_every": 1, "batch_size": 2, "accumulate": 1},
    **{"threads": 1, "precision": "fp32", "init": "random"},
}
OVERRIDES: dict[str, dict] = {
    # With fewer steps it gives the same for all images: batch normalisation has seen too little.
    "yolo": {"scale": "p", "img_size": "96", "steps": 60, "eval_every": 60, "batch_size": 1, "lr": 0.01},
    "sam2": {"tune": "full", "train": "decoder", "prompt": "full_box"},
    "sam3": {"size": "nano", "tune": "full", "img_size": "64x96", "phrases": "spot"},
    "reference": {"model": "tophat_otsu"},
}
TRAINED = [family for family, settings in FAMILIES.items() if settings.jobs]


def smallest(family: str, **more: object) -> FamilySettings:
    """An experiment of the family that trains in seconds, with ``more`` keys."""
    fields = FAMILIES[family].model_fields
    keys = {"model": model_names(family)[0]} | {key: value for key, value in QUICK.items() if key in fields}
    return FAMILIES[family].model_validate(keys | OVERRIDES.get(family, {}) | more)


class Experiment:
    """The smallest experiment of a family in a working folder, trained by its script."""

    def __init__(self, family: str, dataset: Path, top: Path, **keys: object) -> None:
        self.family, self.dataset, self.settings = family, dataset, smallest(family, **keys)
        self.folder = top / "runs" / "toy" / family / "x"
        traits = self.settings.traits
        self.model_inputs: dict[str, Path] = {}
        if traits.base_name:
            self.model_inputs["base"] = top / "weights" / f"{traits.base_name}.safetensors"
            self._make_base_weights(traits.base_name, top)
        if traits.prompt_file:
            self.model_inputs["prompts"] = dataset / "prompts" / traits.prompt_file
            kind, prompts = traits.prompt, importlib.import_module("prompts")
            manifest, out = dataset / "manifest.parquet", self.model_inputs["prompts"]
            call(prompts, settings=dataset / "prompts.yaml", manifest=manifest, kind=kind, out=out)

    def _make_base_weights(self, name: str, top: Path) -> None:
        rules = {settings.weights_rule: settings for settings in FAMILIES.values() if settings.weights_rule}
        rule = next(rule for rule, settings in rules.items() if re.fullmatch(settings.base_pattern, name))
        options = {"name": name, "folder": top, "out": self.model_inputs["base"]}
        listed = {"table": top / "none.yaml"} if rules[rule].weights_listed else {}
        call(importlib.import_module(rule), **options, **listed)

    def train(self, **runtime: object) -> None:
        """Run the family's training script."""
        files = {name: self.folder / f"{name}.yaml" for name in ("settings", "identity", "runtime")}
        self.settings.write(files["settings"])
        RuntimeSettings.model_validate(runtime).write(files["runtime"])
        traits = self.settings.traits
        names = {"exp_id": "x", "dataset": "toy", "family": self.family, "model": self.settings.model}
        names |= {"variant": traits.variant, "prompt_type": traits.prompt, "img_size": traits.img_size}
        ExperimentIdentity(**names, subset="full", seed=self.settings.seed).write(files["identity"])
        files |= {"split": self.dataset / "split.csv", "subset": self.dataset / "subset.csv"}
        if traits.label_table:
            files["labels"] = self.dataset / f"{traits.label_table}.parquet"
        if traits.prompt_file:
            files["prompt_settings"] = self.dataset / "prompts.yaml"
        if (scaling := self.dataset / "packed" / "scaling.json").is_file():
            files["scaling"] = scaling
        script = importlib.import_module(f"train_{self.family}")
        pack = self.dataset / "packed"
        call(script, **files, **self.model_inputs, pack=pack, folder=self.folder, code_digest="0")

    def predict(self, pack: Path) -> dict[str, bytes]:
        """Run the family's prediction script on the images of ``pack``; the bytes of its files by role."""
        model = {"run": self.folder / "run.json", "weights": self.weights, **self.model_inputs}
        if not self.settings.traits.predicts_with_base:
            model.pop("base", None)
        outputs = {role: self.folder / f"{role}.pred.parquet" for role in ("val", "test")}
        data = {"pack": pack, "split": self.dataset / "split.csv", "timing": self.folder / "timing.json"}
        call(importlib.import_module(f"predict_{self.family}"), **model, **data, **outputs)
        return {role: path.read_bytes() for role, path in outputs.items()}

    @property
    def weights(self) -> Path:
        return self.folder / "model" / self.settings.weights_file

    def read_maps_of_test(self) -> dict[str, np.ndarray]:
        with PredictionFile(self.folder / "test.pred.parquet") as file:
            return dict(file)
