"""Draw losses and validation scores of the trainings."""

from defectbench.reporting.plots.record_command import draw_records
from defectbench.reporting.plots.training import training_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, training_figure)


if __name__ == "__main__":
    main()
