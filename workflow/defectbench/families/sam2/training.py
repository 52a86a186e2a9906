"""Training of a promptable SAM 2: full or partial fine-tuning, or LoRA."""

import functools

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import PromptSettings
from defectbench.data.prompt_file import read_prompts
from defectbench.families.sam2.adapters import set_trainable
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.object_pool import collect_objects
from defectbench.families.sam2.predicted_objects import add_predicted_objects
from defectbench.families.sam2.prompt_sampling import PromptSampler
from defectbench.families.sam2.task import Prompting, PromptTask
from defectbench.families.sam2.weights import load_base
from defectbench.script import required
from defectbench.training.network_job import NetworkJob, Training


def build_training(settings: Sam2Settings, job: NetworkJob) -> Training:
    """Network, loss and prompts of ``settings``; zero-shot has no loss. See :mod:`defectbench.families.contract`."""
    network, origin = load_base(required(job.files.base, "--base"), settings.base_name)
    set_trainable(network, settings)
    base_sha256 = origin["base_sha256"]
    if settings.tune == "none":
        return Training(network, None, origin, base_sha256=base_sha256)
    prompts = required(job.files.prompts, "--prompts")
    prompt_settings = required(job.files.prompt_settings, "--prompt-settings")
    encode = encode_val = None
    if settings.cache_embeddings:
        encode_val = EmbeddingCache(network, required(job.files.features, "--features"), base_sha256).encode
        encode = encode_val if job.trains_on_plain_images else None
    fingerprint = [prompts.read_bytes(), prompt_settings.read_bytes()]
    if settings.train_prompts:
        add_predicted_objects(job, settings.train_prompts)
        fingerprint.append(required(job.files.train_prompts, "--train-prompts").read_bytes())
    fixed = PromptSettings.read(prompt_settings)
    others = () if settings.prompt == "full_box" else collect_objects(job.train, settings, fixed)
    val_prompts = read_prompts(prompts, settings.traits.prompt_source)
    prompting = Prompting(PromptSampler(settings, fixed, others), val_prompts, encode, encode_val)
    return Training(
        network,
        Sam2Loss(settings.recipe),
        origin,
        make_task=functools.partial(PromptTask, prompting=prompting),
        base_sha256=base_sha256,
        facts={"zero_shot": False},
        notes=describe_recipe(settings),
        fingerprint=fingerprint,
    )


def describe_recipe(settings: Sam2Settings) -> list[str]:
    """Notes on the loss, for readers of the results."""
    return ["loss: SAM 2's own (focal 20, Dice 1, IoU 1, object score 1)"] if settings.recipe == "published" else []
