"""Write the predicted masks of all val and test images as PNG files, 0 and 255, by one policy.

--out gets {role}/{image id}.png; of experiments with a map per class {role}/{label value}/{image id}.png.
"""

import argparse
from pathlib import Path

import numpy as np

from defectbench.config.base import MERGED
from defectbench.data.packing import ImagePack
from defectbench.data.writers.masks import write_png
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.truth import HeldOutData, ValidationData, read_truth
from defectbench.files import atomic_folder, read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import UserError, run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the predictions image by image and write their masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--val", type=Path, required=True, help="val or out-of-fold predictions")
    parser.add_argument("--test", type=Path, required=True, help="test.pred.parquet")
    parser.add_argument("--calibration", type=Path, required=True, help="calibration.json")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--pack", type=Path, help="folder of the packed images, which a dense CRF needs")
    parser.add_argument("--policy", required=True, help="calibrated, at_0.5, post_processed or imposed")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args(argv)

    truth = read_truth(args.manifest, args.split)
    calibration = Calibration(**read_json(args.calibration))
    images = ImagePack(args.pack) if args.pack else None
    n_images = 0
    with (
        PredictionFile(args.val) as val,
        PredictionFile(args.test) as test,
        atomic_folder(args.out) as folder,
    ):
        for data in (ValidationData(val, truth, images), HeldOutData(test, truth, images)):
            for sample in data:
                masks = policies.masks(sample.codes, calibration, sample.image, sample.ignored)
                if args.policy not in masks:
                    raise UserError(f"no masks are {args.policy} in this study; there are: {', '.join(masks)}")
                places = [""] if sample.classes == (MERGED,) else map(str, truth.manifest.class_values)
                for place, mask in zip(places, masks[args.policy], strict=True):
                    write_png(folder / data.role / place / f"{sample.image_id}.png", mask * np.uint8(255))
                n_images += 1
    print(f"{args.out}: masks of {n_images} images")


if __name__ == "__main__":
    main()
