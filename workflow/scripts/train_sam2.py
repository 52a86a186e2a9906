"""Fine-tune a promptable SAM 2, wholly, in part, or by LoRA; or, for zero-shot, record that nothing was trained.

Writes into --folder: model/weights.safetensors (what was trained, to be put on the base), run.json, history.csv and, in
checkpoints/, the best three, the best by the other metric and the last; in samples/, pictures of the val images that
the best weights segment best and worst. Training state is kept in --folder/state until all is written, so that a
killed training goes on where it was.
"""

import functools
import json
from pathlib import Path

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import PromptSettings, track_of
from defectbench.data.prompt_file import read_prompts
from defectbench.families.sam2.adapters import set_up
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.prompt_sampling import PromptSampler
from defectbench.families.sam2.task import Prompting, PromptTask
from defectbench.families.sam2.weights import load_base
from defectbench.models.adapters import save_kept
from defectbench.script import run_script
from defectbench.training.fit import fit
from defectbench.training.job import TrainingJob, training_parser


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs, prompts and network to the training loop, and write what it ends with."""
    parser = training_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True, help="weights to start from")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts of the val images")
    parser.add_argument("--prompt-settings", type=Path, required=True, help="prompts.yaml of the dataset")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of kept embeddings")
    args = parser.parse_args(argv)
    settings = Sam2Settings.read(args.settings)
    job = TrainingJob(args, settings)
    network, origin = load_base(args.base, settings.base_name)
    set_up(network, settings)
    base_sha256, source = origin["base_sha256"], settings.traits.prompt_source
    if settings.tune == "none":
        save_kept(network, {}, args.folder, base_sha256)
        job.finish_untrained(network, args.base, track_of(source), source, zero_shot=True, **origin)
        return
    encode = encode_val = None
    if settings.cache_embeddings:
        encode_val = EmbeddingCache(network, args.embeddings, base_sha256).encode
        # Augmented images and crops never come again.
        encode = encode_val if job.augmentation is None and settings.mode != "crops" else None
    sampler = PromptSampler(settings, PromptSettings.read(args.prompt_settings))
    prompting = Prompting(sampler, read_prompts(args.prompts, source), encode, encode_val)
    task = functools.partial(PromptTask, prompting=prompting)
    loss = Sam2Loss(settings.recipe)
    parts = args.prompts.read_bytes(), args.prompt_settings.read_bytes(), json.dumps(origin)
    with job.state(*parts) as (state, loggers):
        result = fit(job.name, network, loss, job.train, job.val, settings, state, make_task=task, loggers=loggers)
        weights = save_kept(network, result.weights, args.folder, base_sha256)
        job.notes += notes(settings)
        job.finish(network, result, weights, loggers, track_of(source), source, zero_shot=False, **origin)


def notes(settings: Sam2Settings) -> list[str]:
    """What a reader of the results must know of a training with ``settings``."""
    return ["loss: SAM 2's own (focal 20, Dice 1, IoU 1, object score 1)"] if settings.recipe == "published" else []


if __name__ == "__main__":
    main()
