"""The clean step."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from components.image import component


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
    from components.runs import recorded

    with recorded(lake, namespace, as_of, run, "clean") as record:
        import json
        from pathlib import Path

        from components.clean.cleaning import clean
        from components.clean.profile_page import html
        from components.lake import Lake
        from components.settings import Settings

        found = json.loads(Path(landed.path).read_text())
        record.update(clean(Lake.open(lake, namespace), found, Settings.load(settings), as_of, run))
        Path(profile.path).write_text(html(record["profile"]))
        Path(interactions.path).write_text(json.dumps(record))
    interactions.metadata.update(table="interactions", version=str(record["interactions_version"]))
    metrics.metadata.update({name: record[name] for name in ("rows_in", "clean", "quarantined", "duplicates")})
