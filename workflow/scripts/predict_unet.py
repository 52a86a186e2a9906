"""Predict all val and test images with a trained CNN. Sees images and roles only, never a label."""

import argparse
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file

from defectbench.config.train_unet import UNetSettings
from defectbench.data.packing import ImagePack
from defectbench.files import read_json, write_json
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import NetworkPredictor, device_name
from defectbench.inference.predict import predict_roles, timing_record
from defectbench.models.unet import UNet
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its weights, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--weights", type=Path, required=True, help="weights as safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    run = read_json(args.run)
    settings = UNetSettings.model_validate(run["settings"])
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    network = UNet(settings, run["in_channels"], len(run["classes"]))
    network.load_state_dict(load_file(args.weights))

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = NetworkPredictor(network, Geometry.of(settings.img_size, settings.resize), device)
    split = pd.read_csv(args.split, dtype=str)
    outputs = {"val": args.val, "test": args.test}
    seconds = predict_roles(predictor, ImagePack(args.pack), split, outputs, tuple(run["classes"]), has_scores=True)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    write_json(args.timing, timing_record(seconds, device_name(device), peak))
    print(f"{run['experiment']['exp_id']}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()
