"""The notify step: the exit handler, which runs whatever happened."""

from typing import Any

from kfp.dsl import HTML, Markdown, Output, PipelineTaskFinalStatus

from dawnlist.components.image import component


@component
def notify(
    status: PipelineTaskFinalStatus,
    report: Output[HTML],
    summary: Output[Markdown],
    run: str,
    as_of: str,
    force_publish: str,
    history_days: int,
    list_length: int,
    search: dict[str, Any],
    shop: str,
    shop_lake: str,
    shop_settings: str,
    shop_source: str,
    shop_store: str,
) -> None:
    """Report the run from its run record, and send the message about it.

    All parameters but `status`, `run` and the two outputs are the pipeline's own.
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
        moment = resolve_as_of(shop_lake, shop, as_of, run)
        parameters["as_of"] = format_iso(moment)
        with record_step(shop_lake, shop, moment, run, "notify") as record:
            from pathlib import Path

            from dawnlist.components.notify.daily import read_run_facts, write_report
            from dawnlist.components.notify.notification import notify_recipients
            from dawnlist.components.notify.registrations import register_run
            from dawnlist.lake.lake import Lake
            from dawnlist.records.lineage import write_lineage

            opened_lake = Lake.open(shop_lake, shop)
            facts = register_run(
                opened_lake, read_run_facts(opened_lake, moment, run), shop_settings, parameters
            )
            print(write_report(opened_lake, facts, Path(report.path), Path(summary.path)))
            write_lineage([report, summary], [], shop_lake, shop, moment, run)
            record.update(
                registrations=dict(facts.registrations),
                told=notify_recipients(opened_lake, facts, parameters),
            )
            print(*record["told"], sep="\n")
