"""The clean step."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from dawnlist.components.image import component


@component
def clean(
    landed: Input[Artifact],
    interactions: Output[Dataset],
    profile: Output[HTML],
    metrics: Output[Metrics],
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Coerce, reject to quarantine, drop duplicates, and merge into the interactions table."""
    from dawnlist.records.runs import day_of, recorded

    as_of = day_of(lake, namespace, as_of, run)
    with recorded(lake, namespace, as_of, run, "clean") as record:
        import json
        from pathlib import Path

        from dawnlist.components.clean.cleaning import clean
        from dawnlist.components.clean.profile_page import html
        from dawnlist.lake.lake import Lake
        from dawnlist.records.lineage import describe, figures
        from dawnlist.settings import Settings

        found = json.loads(Path(landed.path).read_text())
        opened, rules = Lake.open(lake, namespace), Settings.load(settings)
        record.update(clean(opened, found, rules, as_of, run))
        Path(profile.path).write_text(html(record["profile"]))
        Path(interactions.path).write_text(json.dumps(record))
        made = {
            "table": opened.table_uri("interactions"),
            "table_version": str(record["interactions_version"]),
            "settings": rules.digest,
        }
        describe([interactions, profile], [landed], lake, namespace, as_of, run, **made)
    metrics.metadata.update(figures(record, "rows_in", "clean", "quarantined", "duplicates", "double_clicks", "known"))
