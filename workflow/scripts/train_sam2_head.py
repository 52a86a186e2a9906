"""Train a segmentation head on SAM 2's encoder, which stays frozen or is adapted by LoRA.

Writes into --folder: model/weights.safetensors (what was trained, to be put on the base), run.json, history.csv and, in
checkpoints/, the best three, the best by the other metric and the last; in samples/, pictures of the val images that
the best weights segment best and worst. Training state is kept in --folder/state until all is written, so that a
killed training goes on where it was.
"""

import json
from pathlib import Path

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2_head.network import build_head
from defectbench.models.adapters import save_kept
from defectbench.script import run_script
from defectbench.training.fit import fit
from defectbench.training.job import TrainingJob, training_parser
from defectbench.training.losses import make_loss


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs and network to the training loop, and write what it ends with."""
    parser = training_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True, help="weights of SAM 2 to start from")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of kept embeddings")
    args = parser.parse_args(argv)
    settings = Sam2HeadSettings.read(args.settings)
    job = TrainingJob(args, settings)
    network, origin = build_head(settings, args.base, len(job.classes))
    if settings.cache_embeddings:
        cache = EmbeddingCache(network.sam, args.embeddings, origin["base_sha256"])
        # Augmented images and crops never come again.
        network.keep_embeddings(cache.encode, job.augmentation is None and settings.mode != "crops")
    loss = make_loss(settings.loss)
    with job.state(json.dumps(origin)) as (state, loggers):
        result = fit(job.name, network, loss, job.train, job.val, settings, state, job.classes, loggers=loggers)
        weights = save_kept(network, result.weights, args.folder, origin["base_sha256"])
        job.finish(network, result, weights, loggers, **origin)


if __name__ == "__main__":
    main()
