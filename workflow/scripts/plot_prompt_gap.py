"""Draw what promptable models lose with prompts of a trained model instead of the truth's."""

from defectbench.reporting.plots.prompt_gap import prompt_gap_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, prompt_gap_figure)


if __name__ == "__main__":
    main()
