"""The clean step."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from dawnlist.components.image import component


@component
def clean(
    landed: Input[Artifact],
    interactions: Output[Dataset],
    profile: Output[HTML],
    clean_metrics: Output[Metrics],
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Coerce, reject to quarantine, drop duplicates, and merge into the interactions table."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "clean") as record:
        import json
        from pathlib import Path

        from dawnlist.components.clean.cleaning import clean_landed_objects
        from dawnlist.components.clean.profile import CleaningProfile
        from dawnlist.components.clean.profile_page import render_profile_page
        from dawnlist.dataclass_json import from_json
        from dawnlist.lake.lake import Lake
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.settings import Settings

        landing_report = json.loads(Path(landed.path).read_text())
        opened_lake = Lake.open(lake, namespace)
        parsed_settings = Settings.load(settings)
        record.update(
            clean_landed_objects(opened_lake, landing_report, parsed_settings, moment, run)
        )
        Path(profile.path).write_text(
            render_profile_page(from_json(CleaningProfile, record["profile"]))
        )
        Path(interactions.path).write_text(json.dumps(record))
        write_lineage(
            [interactions, profile],
            [landed],
            lake,
            namespace,
            moment,
            run,
            table=opened_lake.table_uri("interactions"),
            table_version=str(record["interactions_version"]),
            settings=parsed_settings.digest,
        )
    names = ("rows_in", "clean", "quarantined", "duplicates", "double_clicks", "known")
    clean_metrics.metadata.update(select_finite_figures(record, *names))
