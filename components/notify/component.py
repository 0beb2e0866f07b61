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
    repeat_share: list[float],
    repeat_half_life: list[float],
    content_share: list[float],
    content_pairs: list[float],
    iterations: int,
    metric: str,
    k: int,
    seed: int,
    force: str,
) -> None:
    """Report the run from its run record, and send the message about it.

    All parameters but `status` and the two outputs are the pipeline's own.
    """
    parameters = {
        name: value
        for name, value in locals().items()
        if name not in ("status", "report", "summary", "run")
    }

    from dawnlist.components.notify.notification import alarm_on_error
    from dawnlist.cuts import format_iso
    from dawnlist.records.run_records import record_step, resolve_as_of

    with alarm_on_error(parameters, run):
        moment = resolve_as_of(lake, namespace, as_of, run)
        parameters["as_of"] = format_iso(moment)
        with record_step(lake, namespace, moment, run, "notify") as record:
            from pathlib import Path

            from dawnlist.components.notify.daily import read_run_facts, write_report
            from dawnlist.components.notify.notification import notify_recipients
            from dawnlist.components.notify.registrations import register_run
            from dawnlist.lake.lake import Lake
            from dawnlist.records.lineage import write_lineage

            opened_lake = Lake.open(lake, namespace)
            facts = register_run(
                opened_lake, read_run_facts(opened_lake, moment, run), settings, parameters
            )
            print(write_report(opened_lake, facts, Path(report.path), Path(summary.path)))
            write_lineage([report, summary], [], lake, namespace, moment, run)
            record.update(
                registrations=dict(facts.registrations),
                told=notify_recipients(opened_lake, facts, parameters),
            )
            print(*record["told"], sep="\n")
