"""Predict all val and test images with a head on SAM 2's encoder. Sees images and roles only, never a label."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.data.packing import ImagePack
from defectbench.families.sam2_head.network import build_head
from defectbench.files import read_json, write_json
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import NetworkPredictor, device_name
from defectbench.inference.predict import predict_roles, timing_record
from defectbench.inference.tiling import Tiling
from defectbench.inference.tta import augmented
from defectbench.models.adapters import load_trained, merge_lora
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its weights, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--base", type=Path, required=True, help="weights of SAM 2 that the training started from")
    parser.add_argument("--weights", type=Path, required=True, help="what was trained, as safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    run = read_json(args.run)
    settings = Sam2HeadSettings.model_validate(run["settings"])
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    network, origin = build_head(settings, args.base, len(run["classes"]))
    load_trained(network, args.weights, origin["base_sha256"])
    merge_lora(network)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tiling = Tiling(settings.crop_size, settings.overlap) if settings.prediction == "tiles" else None
    predictor = NetworkPredictor(network, Geometry.of(settings.img_size, settings.resize), device, tiling)
    predictor = augmented(predictor, settings.tta)
    split = pd.read_csv(args.split, dtype=str)
    outputs = {"val": args.val, "test": args.test}
    seconds = predict_roles(predictor, ImagePack(args.pack), split, outputs, tuple(run["classes"]), has_scores=True)
    write_json(args.timing, timing_record(seconds, device_name(device)))
    print(f"{run['experiment']['exp_id']}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()
