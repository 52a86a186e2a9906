"""Draw the same test images with the masks of several models, before and after post-processing."""

from pathlib import Path

from defectbench.reporting.plots.gallery_models import draw_gallery_models
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose images and models and draw them."""
    draw_records(argv, __doc__, draw_gallery_models, pack=Path)


if __name__ == "__main__":
    main()
