"""The gate step."""

from kfp.dsl import Artifact, Input, Markdown, Output

from components.image import component


@component
def gate(
    evaluation: Input[Artifact],
    verdict: Output[Artifact],
    summary: Output[Markdown],
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> str:
    """Decide whether, and which, model goes live; returns "true" or "false"."""
    from components.runs import recorded

    with recorded(lake, namespace, as_of, run, "gate") as record:
        import json
        from pathlib import Path

        from components.gate.page import markdown
        from components.gate.verdict import decide
        from components.lake import Lake
        from components.registry import champion
        from components.settings import Settings

        found = json.loads(Path(evaluation.path).read_text())
        live = champion(Lake.open(lake, namespace))
        record.update(decide(found, Settings.load(settings).gate, as_of, live))
        Path(verdict.path).write_text(json.dumps(record))
        Path(summary.path).write_text(markdown(record))
    return str(record["passed"]).lower()
