"""Predict boxes in all val and test images with a YOLO detector. Sees images and roles only, never a label."""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.families.yolo import YoloSettings
from defectbench.data.packing import ImagePack
from defectbench.files import read_json, write_json
from defectbench.inference.box_file import SCHEMA, BoxPredictions, write_boxes
from defectbench.inference.network import device_name
from defectbench.inference.predict import WARM_UP, timing_record
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its weights, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--weights", type=Path, required=True, help="weights as safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--val", type=Path, required=True, help="file of boxes to write")
    parser.add_argument("--test", type=Path, required=True, help="file of boxes to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    # An extra: its absence is a message.
    from defectbench.families.yolo.network import load_predictor

    run = read_json(args.run)
    predictor = load_predictor(YoloSettings.model_validate(run["settings"]), run["classes"], args.weights)
    images = ImagePack(args.pack)
    split = pd.read_csv(args.split, dtype=str)
    classes = tuple(run["classes"])
    for _ in range(WARM_UP):
        predictor.boxes(images[split["image_id"].iloc[0]])
    seconds = []
    for role, path in (("val", args.val), ("test", args.test)):
        ids = tuple(sorted(split.loc[split["role"] == role, "image_id"]))
        tables = []
        for image_id in ids:
            image = np.asarray(images[image_id])
            started = time.perf_counter()
            found = predictor.boxes(image)
            seconds.append(time.perf_counter() - started)
            names = [classes[index] for index in found.classes]
            values = [[image_id] * len(names), names, *found.xyxy.T, found.scores]
            tables.append(pd.DataFrame(dict(zip(SCHEMA.names, values, strict=True))))
        write_boxes(path, BoxPredictions(role, classes, ids, pd.concat(tables, ignore_index=True)))
    device = predictor.device
    write_json(args.timing, timing_record(seconds, device_name(device)))
    print(f"{run['experiment']['exp_id']}: boxes in {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()
