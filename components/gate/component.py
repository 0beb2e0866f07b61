"""The gate step."""

from kfp.dsl import HTML, Artifact, Input, Markdown, Metrics, Output

from dawnlist.components.image import component


@component
def gate(
    evaluation: Input[Artifact],
    verdict: Output[Artifact],
    summary: Output[Markdown],
    page: Output[HTML],
    gate_metrics: Output[Metrics],
    settings: str,
    force: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> str:
    """Decide whether, and which, model goes live.

    Returns "true" when something new goes live, else "false".
    """
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "gate") as record:
        import json
        from pathlib import Path

        from dawnlist.components.gate.judgement import flatten_verdict, judge_challenger
        from dawnlist.dataclass_json import to_json
        from dawnlist.lake.lake import Lake
        from dawnlist.model.evaluation import Evaluation
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.settings import Settings

        scored = Evaluation.from_dict(json.loads(Path(evaluation.path).read_text()))
        judgement = judge_challenger(
            Lake.open(lake, namespace), scored, Settings.load(settings).gate, moment, run, force
        )
        record.update(to_json(judgement.verdict))
        Path(verdict.path).write_text(json.dumps(record))
        Path(summary.path).write_text(judgement.markdown)
        Path(page.path).write_text(judgement.page)
        write_lineage(
            [verdict, summary, page],
            [evaluation],
            lake,
            namespace,
            moment,
            run,
            winner=record["winner"],
        )
    gate_metrics.metadata.update(select_finite_figures(flatten_verdict(judgement.verdict)))
    return str(record["passed"]).lower()
