"""The notify step: the exit handler, which runs whatever happened."""

from kfp.dsl import HTML, Markdown, Output, PipelineTaskFinalStatus

from components.image import component


@component
def notify(
    status: PipelineTaskFinalStatus,
    report: Output[HTML],
    summary: Output[Markdown],
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Print and write the report of the run, from its run record."""
    from components.runs import recorded

    with recorded(lake, namespace, as_of, run, "notify"):
        from pathlib import Path

        from components.lake import Lake
        from components.notify.daily import write_report

        text = write_report(Lake.open(lake, namespace), as_of, run, Path(report.path), Path(summary.path))
        print(text)
