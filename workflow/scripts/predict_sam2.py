"""Predict val and test images with a promptable SAM 2. Sees images, roles and a file of prompts, never a label."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from defectbench.config.train_sam2 import Sam2Settings
from defectbench.data.packing import ImagePack
from defectbench.data.prompts import read_prompts
from defectbench.files import read_json, write_json
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import device_name
from defectbench.inference.predict import timing_record
from defectbench.inference.prompted import PromptedPredictor, predict_prompted
from defectbench.models.sam2.adapt import load_trained, merge_lora, set_up
from defectbench.models.sam2.base import load_base
from defectbench.models.sam2.embeddings import EmbeddingCache
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its weights, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--base", type=Path, required=True, help="weights that the training started from")
    parser.add_argument("--weights", type=Path, required=True, help="what was trained, as safetensors")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts of all images")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of kept embeddings")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    run = read_json(args.run)
    settings = Sam2Settings.model_validate(run["settings"])
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    network, origin = load_base(args.base, settings.base_name)
    set_up(network, settings)
    load_trained(network, args.weights, origin["base_sha256"])
    merge_lora(network)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache = EmbeddingCache(network, args.embeddings, origin["base_sha256"]) if settings.cache_embeddings else None
    predictor = PromptedPredictor(network, Geometry.of(settings.img_size, settings.resize), device, cache)
    split = pd.read_csv(args.split, dtype=str)
    prompts = read_prompts(args.prompts, settings.prompt_source)
    outputs = {"val": args.val, "test": args.test}
    seconds = predict_prompted(predictor, ImagePack(args.pack), split, prompts, outputs, settings.prompt_source)
    write_json(args.timing, timing_record(seconds, device_name(device)))
    print(f"{run['experiment']['exp_id']}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()
