"""Train LoRA adapters on SAM 3, asked by phrases; or, for zero-shot, record that nothing was trained.

Writes into --folder: model/weights.safetensors (the adapters, to be put on the base), run.json, history.csv, whose
first row is zero-shot, and, in checkpoints/, the best three, the best by the other metric and the last; in progress/,
the predictions of every evaluation; in samples/, pictures of the val images that the best weights segment best and
worst. Training state is kept in --folder/state until all is written, so that a killed training goes on where it was.
"""

import functools
import json
import shutil
from pathlib import Path

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.config.prompts import track_of
from defectbench.families.sam3.adapters import set_up
from defectbench.families.sam3.loss import Sam3Loss
from defectbench.families.sam3.network import PhraseSam3
from defectbench.families.sam3.task import Sam3Task
from defectbench.families.sam3.weights import load_base
from defectbench.models.adapters import save_kept
from defectbench.script import run_script
from defectbench.training.fit import fit
from defectbench.training.job import TrainingJob, training_parser


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs and network to the training loop, and write what it ends with."""
    parser = training_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True, help="weights to start from")
    args = parser.parse_args(argv)
    settings = Sam3Settings.read(args.settings)
    job = TrainingJob(args, settings)
    phrases = settings.phrase_groups(job.val.masks.class_names)
    sam, tokenizer, origin = load_base(args.base)
    network = PhraseSam3(sam, tokenizer, phrases, settings.task == "merged", settings.map)
    set_up(sam, settings)
    if settings.gradient_checkpointing:
        network.checkpoint_layers()
    base_sha256, source = origin["base_sha256"], settings.traits.prompt_source
    track, facts = track_of(source), {"phrases": phrases, "zero_shot": settings.tune == "none", **origin}
    if settings.tune == "none":
        save_kept(network, {}, args.folder, base_sha256)
        job.finish_untrained(network, args.base, track, source, **facts)
        return
    with job.state(base_sha256, json.dumps(phrases)) as (state, loggers):
        progress = state / "progress"
        task = functools.partial(Sam3Task, predictions=progress)
        data = job.train, job.val, settings, state, job.classes
        result = fit(job.name, network, Sam3Loss(settings), *data, task, loggers, evaluate_first=True)
        weights = save_kept(network, result.weights, args.folder, base_sha256)
        replace_folder(progress, args.folder / "progress")
        job.notes += notes(settings)
        job.finish(network, result, weights, loggers, track, source, **facts)


def notes(settings: Sam3Settings) -> list[str]:
    """What a reader of the results must know of a training with ``settings``: terms besides the loss of the map."""
    terms = {"presence": settings.presence_weight, "instances": settings.instance_weight}
    added = [f"{weight:g} x {name}" for name, weight in terms.items() if weight]
    return [f"loss: {settings.loss} of the map + {' + '.join(added)}"] if added else []


def replace_folder(source: Path, target: Path) -> None:
    """Copy ``source`` to ``target``, which is never half a copy."""
    beside = target.with_name(f".{target.name}")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(source, beside)
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


if __name__ == "__main__":
    main()
