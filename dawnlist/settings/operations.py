"""Settings of a run: its limits, its engines, how long data is kept, and who is told."""

from typing import Literal

from pydantic import Field, field_validator

from dawnlist.machine.spark_url import classify_spark_url
from dawnlist.settings.section import Section, WebAddress


class LimitSettings(Section):
    """When a cleaning run fails. It then commits no clean rows, but keeps the rejected ones."""

    min_rows: int = Field(default=1000, ge=1)
    """Check no limit on fewer rows than this.

    A small shop's figures vary too much. The limits on the volume are skipped if both the last day
    and the usual day have fewer rows.
    """
    max_reused_ids: float = Field(default=0.2, ge=0, le=1)
    """Fail if more than this share of the rows has the event id of another event.

    Such a column is no id of an event. Rows below the limit are kept under an id of their own.
    """
    max_rounded_ids: float = Field(default=0.01, ge=0, le=1)
    """Fail if more than this share of the rows has an id that was rounded, such as 1.23457E+12.

    Spreadsheets and float columns drop the last digits of long ids, so that one id stands for many.
    Rows below the limit are rejected.
    """
    max_without_user: float = Field(default=0.95, ge=0, le=1)
    """Fail if more than this share of the rows has no user; 1 accepts any share.

    Such rows are of people who are not logged in, or who bought without an account.
    """
    max_rejected: float = Field(default=0.5, ge=0, le=1)
    """Fail if more than this share of the other rows is rejected; 1 accepts any share.

    Rows without a user and rows of event types that are not wanted do not count.
    """
    max_unknown_events: float = Field(default=0.2, ge=0, le=1)
    """Fail if more than this share of the same rows has an unknown event; 1 accepts any share.

    An event is unknown if neither source.weights nor source.events names it.
    """
    min_volume: float = Field(default=0.1, ge=0, lt=1)
    """Fail if the last 24 hours have less than this share of the usual rows; 0 accepts any number.

    Usual is the median of the same weekday in the last four weeks.
    """
    max_volume: float = Field(default=10.0, gt=1)
    """Fail if the last 24 hours have more than this many times the usual rows."""


class KeepSettings(Section):
    """How many days the lake keeps its data. `dawnlist lake expire` deletes what is older."""

    interactions_days: int = Field(default=365, ge=3)
    """Keep interactions for this many days after the event, at least 3.

    If this is less than a run's window_days, the run has fewer days to learn from.
    """
    landing_days: int = Field(default=30, ge=1)
    """Keep landing objects for this many days. They hold IP addresses as the source gave them."""
    quarantine_days: int = Field(default=30, ge=1)
    """Keep rejected rows for this many days. They hold IP addresses as the source gave them."""
    events_days: int = Field(default=365, ge=1)
    """Keep the events that the collector landed for this many days after the event."""
    shown_days: int = Field(default=90, ge=1)
    """Keep what answers showed for this many days."""
    dead_events_days: int = Field(default=30, ge=1)
    """Keep dead letters of the collector for this many days."""
    runs_days: int = Field(default=90, ge=1)
    """Keep run records, reports, gates, trials and models for this many days."""
    time_travel_days: int = Field(default=7, ge=1)
    """Keep older versions of a table readable for this many days.

    After that the files that only those versions need are deleted.
    """


class EngineSettings(Section):
    """What does the computing: a library within the step's process, or Spark for more data."""

    clean: Literal["duckdb", "spark"] = "duckdb"
    """What cleans the interactions."""
    train: Literal["ials", "implicit", "spark"] = "ials"
    """What fits the models in the steps tune, train and refit."""
    spark: str = "local[*]"
    """The URL of Spark; only used if `clean` or `train` is spark.

    It is local[CORES], local-cluster[EXECUTORS,CORES,MEGABYTES], spark://, k8s:// or
    sc://HOST:15002.
    """

    @field_validator("spark")
    @classmethod
    def _check_spark_url(cls, url: str) -> str:
        classify_spark_url(url)
        return url


class NotifySettings(Section):
    """When people get a message about a run.

    The environment variable DAWNLIST_NOTIFY_URLS says who gets it; see docs/NOTIFY.md.
    """

    when: Literal["always", "failure", "never"] = "always"
    """Send a message after every run, only after a run that failed, or never."""
    try_seconds: float = Field(default=120.0, ge=1, le=900)
    """Try for this many seconds, 1 to 900, to send a message that a server does not accept.

    After that the next run's notify step tries again.
    """
    kubeflow_url: WebAddress = ""
    """The address of Kubeflow's UI, for a link to the run, e.g. https://kubeflow.example/pipeline.

    If it is empty, messages have no such link.
    """
    reports_url: WebAddress = ""
    """The address at which a browser finds the lake's folder `reports`, for a link to the report.

    If it is empty, messages have no such link.
    """


class ModelRegistrySettings(Section):
    """Kubeflow's Model Registry (Kubeflow Hub), in which published versions are entered.

    The environment variable DAWNLIST_MODEL_REGISTRY_TOKEN holds its token, if it asks for one; see
    docs/REGISTRIES.md.
    """

    url: WebAddress = ""
    """The registry's address, e.g. http://model-registry-service.kubeflow:8080.

    If it is empty, no version is entered.
    """


class MlflowSettings(Section):
    """The MLflow tracking server to which runs are logged, with their parameters and metrics.

    The environment variables MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD, identify the caller; see docs/REGISTRIES.md.
    """

    url: WebAddress = ""
    """The server's address, e.g. http://mlflow.mlflow:5000. If it is empty, no run is logged."""
    experiment: str = ""
    """The name of the experiment; if it is empty, `dawnlist-` and the shop's namespace."""
