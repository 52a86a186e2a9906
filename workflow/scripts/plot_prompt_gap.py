"""Draw what it costs promptable models that a trained model prompts them instead of the truth."""

from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.prompt_gap import prompt_gap_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw(argv, __doc__, prompt_gap_figure)


if __name__ == "__main__":
    main()
