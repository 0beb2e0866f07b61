"""The notify step: the exit handler, which runs whatever happened."""

from kfp.dsl import HTML, Markdown, Output, PipelineTaskFinalStatus

from dawnlist.components.image import component


@component
def notify(
    status: PipelineTaskFinalStatus,
    report: Output[HTML],
    summary: Output[Markdown],
    source: str,
    lake: str,
    redis: str,
    as_of: str,
    run: str,
    namespace: str,
    settings: str,
    window_days: int,
    search: str,
    factors: list[float],
    regularization: list[float],
    alpha: list[float],
    alpha0: list[float],
    nu: list[float],
    half_life: list[float],
    popularity_share: list[float],
    popularity_half_life: list[float],
    content_share: list[float],
    content_pairs: list[float],
    iterations: int,
    metric: str,
    k: int,
    seed: int,
    force: str,
) -> None:
    """Report the run from its run record, and tell people of it; the parameters are the pipeline's own."""
    given = {name: value for name, value in locals().items() if name not in ("status", "report", "summary", "run")}

    from dawnlist.components.notify.telling import alarmed
    from dawnlist.records.runs import day_of, recorded

    with alarmed(given, run):
        given["as_of"] = as_of = day_of(lake, namespace, as_of, run)
        with recorded(lake, namespace, as_of, run, "notify") as record:
            from pathlib import Path

            from dawnlist.components.notify.daily import facts_of, write_report
            from dawnlist.components.notify.telling import tell
            from dawnlist.lake.lake import Lake
            from dawnlist.records.lineage import describe

            opened = Lake.open(lake, namespace)
            facts = facts_of(opened, as_of, run)
            print(write_report(opened, facts, Path(report.path), Path(summary.path)))
            describe([report, summary], [], lake, namespace, as_of, run)
            record["told"] = tell(opened, facts, given)
            print(*record["told"], sep="\n")
