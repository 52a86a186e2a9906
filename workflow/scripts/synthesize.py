"""Generate synthetic steel strips with defect labels, a dataset that needs no download."""

import argparse
from pathlib import Path

import yaml

from defectbench.data.synthetic import load_prior, write_steel
from defectbench.files import write_text
from defectbench.script import run_script
from defectbench.sources import RECORD, read_sources


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="YAML: n_images, height, width (pixels), seed")
    parser.add_argument("--prior", type=Path, required=True, help="YAML: frequencies and sizes of the defects")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder to write")
    args = parser.parse_args(argv)

    settings = yaml.safe_load(args.settings.read_text(encoding="utf-8"))
    size = (settings["height"], settings["width"])
    n = write_steel(args.out_dir, load_prior(args.prior), n=settings["n_images"], seed=settings["seed"], size=size)
    files = [*(args.out_dir / "train_images").glob("*.jpg"), args.out_dir / "train.csv"]
    write_text(args.out_dir / RECORD, f"{read_sources(files).digest}\n")
    print(f"{n} synthetic strips of {size[0]} x {size[1]} pixels (seed {settings['seed']}) in {args.out_dir}")


if __name__ == "__main__":
    main()
