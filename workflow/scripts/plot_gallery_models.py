"""Draw the same test images through the eyes of several models, before and after post-processing."""

from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.gallery_models import draw_gallery_models
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose images and models and draw them."""
    draw(argv, __doc__, draw_gallery_models, "pack")


if __name__ == "__main__":
    main()
