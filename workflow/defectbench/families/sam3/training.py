"""Training of SAM 3, or of adapters on it, prompted with phrases."""

import json

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.adapters import set_trainable
from defectbench.families.sam3.loss import Sam3Loss
from defectbench.families.sam3.network import PhraseSam3
from defectbench.families.sam3.task import PROGRESS, Sam3Task
from defectbench.families.sam3.weights import load_base
from defectbench.script import required
from defectbench.training.network_job import NetworkJob, Training


def build_training(settings: Sam3Settings, job: NetworkJob) -> Training:
    """Network, loss and phrases of ``settings``; zero-shot has no loss. See :mod:`defectbench.families.contract`."""
    phrases = settings.phrase_groups(job.masks.class_names)
    sam, tokenizer, origin = load_base(required(job.files.base, "--base"), settings.grid_size)
    network = PhraseSam3(sam, tokenizer, phrases, settings.task == "merged", settings.map, settings.score_threshold)
    set_trainable(sam, settings)
    if settings.gradient_checkpointing:
        network.checkpoint_layers()
    is_zero_shot = settings.tune == "none"
    return Training(
        network,
        None if is_zero_shot else Sam3Loss(settings),
        origin,
        compiled=[sam.vision_encoder.backbone],
        make_task=Sam3Task,
        base_sha256=origin["base_sha256"],
        facts={"phrases": phrases, "zero_shot": is_zero_shot},
        notes=settings.warnings(job.masks.class_names) + ([] if is_zero_shot else describe_loss(settings)),
        fingerprint=(json.dumps(phrases),),
        folders=(PROGRESS,),
    )


def describe_loss(settings: Sam3Settings) -> list[str]:
    """Notes on the loss, for readers of the results: its terms besides that of the map."""
    terms = {"presence": settings.presence_weight, "instances": settings.instance_weight}
    weighted = [f"{weight:g} x {name}" for name, weight in terms.items() if weight]
    return [f"loss: {settings.loss} of the map + {' + '.join(weighted)}"] if weighted else []
