"""Download a dataset and unpack it into its folder."""

import argparse
from pathlib import Path

from defectbench.config.fetch import FetchSettings, fetched_from
from defectbench.data.fetch import fetch
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="source of the dataset (YAML)")
    parser.add_argument("--root", type=Path, required=True, help="folder to create; if it exists, it must be empty")
    args = parser.parse_args(argv)

    n_files = fetch(FetchSettings.read(args.settings), args.root)
    print(f"{n_files} files in {args.root}, from {fetched_from(args.root)}")


if __name__ == "__main__":
    main()
