"""Validated settings of one shop: where columns come from, which bot rules run, what the gate demands.

Read from one YAML document (a path or a file://, gs:// or s3:// URI); an empty URI means the defaults.
"""

import hashlib
import re
import zoneinfo
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pyarrow.fs as pafs
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from dawnlist.machine.spark_url import classify_spark_url
from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.urls import mask_passwords

_YAML_BOOLEANS: Final = {True: "on", False: "off"}
"""What on and off are to YAML where they have no quotes."""
RuleMode = Annotated[
    Literal["on", "off", "shadow"],
    BeforeValidator(lambda said: _YAML_BOOLEANS[said] if isinstance(said, bool) else said),
]
UNKNOWN_SETTING: Final = "there is no such name"
NETWORK_BITS = {4: 24, 6: 48}
"""What the lake keeps of an address, by IP version."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSettings(_Section):
    """Where the source keeps what, in its own words."""

    interactions: str = "interactions"
    """Table, folder or file of the interactions."""
    items: str = "items"
    """Table or file of the items; may be missing in the source."""
    users: str = "users"
    """Table or file of the users; may be missing in the source."""
    time_column: str = "received_at"
    """SQL: the indexed column that the window is cut on. Files use the event's own time."""
    overlap_minutes: float = Field(default=60.0, ge=0)
    """A window starts so long before the last one's end: a row may be committed later than its time says."""
    check_days: int = Field(default=7, ge=0, le=30)
    """So many days before a window are counted in the source again: rows that came later than the overlap are told."""
    statement_timeout_seconds: float = Field(default=600.0, gt=0)
    """SQL: a statement that takes longer is given up, so that a run never holds up the database."""
    columns: dict[str, list[str]] = Field(default_factory=dict)
    """More names for canonical columns, e.g. {user_id: [visitor]}; case, underscores, dots and blanks don't matter."""
    events: dict[str, str] = Field(default_factory=dict)
    """The source's event names -> canonical ones, e.g. {addtocart: cart}; applied after lower-casing."""
    default_event: str = ""
    """The event type of rows in a source that has no event column; empty: such a source is refused."""
    weights: dict[str, float] = Field(default_factory=lambda: dict(EVENT_WEIGHTS))
    """Event type -> weight relative to a view; an event that is not listed is rejected as unknown."""
    rating_scale: float | None = Field(default=None, gt=0)
    """The highest rating: a rating's weight is rating / rating_scale. None: as a known layout says (5 for MovieLens
    and Amazon), else 10."""
    double_click_seconds: float = Field(default=2.0, ge=0)
    """The same event on the same item by the same user within this time is one event."""
    time_zone: str = "UTC"
    """Of event times that say none, e.g. Europe/Berlin; the time column is UTC."""
    time_format: str = ""
    """Of event times that are no ISO-8601 and no numbers, e.g. %d/%m/%Y %H:%M; with %Y %m %b %d %H %I %p %M %S."""

    def fill_from_hints(self, hints: Mapping[str, Any]) -> "SourceSettings":
        """Fill open settings with what a source's layout says of itself (dawnlist.components.fetch.layouts).

        `hints` may have columns, events, default_event and rating_scale; a rating_scale is there afterwards.
        """
        columns = {
            name: [*self.columns.get(name, []), *names]
            for name, names in hints.get("columns", {}).items()
        }
        return self.model_copy(
            update={
                "columns": {**self.columns, **columns},
                "events": {**hints.get("events", {}), **self.events},
                "default_event": self.default_event or hints.get("default_event", ""),
                "rating_scale": self.rating_scale or hints.get("rating_scale") or 10.0,
            }
        )

    @field_validator("weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        for event, weight in weights.items():
            if not 0 < weight < 1000:
                raise ValueError(
                    f"the weight of {event!r} is {weight}: give a number above 0 and below 1000"
                )
        return weights

    @field_validator("time_zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            zoneinfo.ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("no time zone of the IANA's, such as UTC or Europe/Berlin") from None
        return zone

    @field_validator("time_format")
    @classmethod
    def _plain(cls, form: str) -> str:
        if form and not re.fullmatch(r"(%[YmbdHIpMS]|[ :,./-])+", form):
            raise ValueError(
                "a format of %Y %m %b %d %H %I %p %M %S, with blanks and : , . / - between them, is needed"
            )
        return form


class BotSettings(_Section):
    """Whose interactions don't count."""

    declared_crawlers: RuleMode = "on"
    """Crawlers and programs that say so in their user agent."""
    previews_and_monitors: RuleMode = "on"
    """What fetches a page to show a link (Facebook, Slack) or to see that the shop is up."""
    staff: RuleMode = "on"
    """Internal and test accounts."""
    behaviour: RuleMode = "on"
    staff_domains: list[str] = Field(default_factory=list)
    """E-mail domains of the shop's own people, e.g. [shop.example]."""
    staff_roles: list[str] = Field(default_factory=lambda: ["staff", "test", "internal", "admin"])
    staff_ids: list[str] = Field(default_factory=list)
    internal_networks: list[str] = Field(default_factory=list)
    """CIDR ranges of the shop's own networks, e.g. [10.0.0.0/8, 2001:db8:7::/48]. The lake knows an address no nearer
    than its /24 (IPv4) or /48 (IPv6), so that a narrower range can't be told."""
    allow: list[str] = Field(default_factory=list)
    """User ids that no rule may drop."""
    allow_agents: list[str] = Field(default_factory=lambda: ["MetaIAB"])
    """Parts of user agents that are no crawlers: the shop's own apps, e.g. [ShopApp/], whose library names itself, and
    by default Facebook's browser for people, which crawler-user-agents takes for its link preview."""
    deny: list[str] = Field(default_factory=list)
    """User ids that are always dropped; wins over allow."""

    @field_validator("staff_domains", "staff_roles", "staff_ids", "allow", "allow_agents", "deny")
    @classmethod
    def _not_blank(cls, texts: list[str]) -> list[str]:
        if any(not text.strip() for text in texts):
            raise ValueError("an empty text would stand for everybody without a value: take it out")
        return texts

    @field_validator("internal_networks")
    @classmethod
    def _wide(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text!r} is no network ({error}): give e.g. 10.0.0.0/8"
                ) from None
            finest = NETWORK_BITS[network.version]
            if network.prefixlen > finest:
                raise ValueError(
                    f"{text!r} is narrower than the /{finest} that the lake keeps of an address: "
                    f"give {network.supernet(new_prefix=finest)}, if all of it is internal"
                )
        return networks


class GateSettings(_Section):
    """What a challenger must show before it goes live: docs/GATE.md has each rule's formula, and why."""

    margin: float = Field(default=0.01, ge=0, lt=1)
    """The challenger's metric is shown not to be lower than the incumbent's by more than this share, and not shown to
    be lower than popularity's by more; 0 is a strict gate."""
    min_users: int = Field(default=20, ge=1)
    """Fewer users, those of the last four weeks' gates included, are no evidence; nor are fewer of a segment."""
    max_lift_fall: float = Field(default=0.03, ge=0, lt=1)
    """So far may the lift over popularity fall below its median of 28 days, and so much may the challengers of 28 days
    lose together."""
    min_coverage: float = Field(default=0.01, ge=0, le=1)
    """The evaluated lists must show this share of the catalogue, or of what so many lists could show at most."""
    max_segment_fall: float = Field(default=0.2, ge=0, le=1)
    """In no segment may the metric be lower than the incumbent's by more than this share, and three standard errors."""
    min_events: int = Field(default=100, ge=0)
    """Fewer events in the last 24 hours are no day to judge by."""
    max_volume_fall: float = Field(default=0.4, ge=0, le=1)
    """So far may the events of the last 24 hours fall below the same weekday of the last four weeks; 1: to nothing."""
    max_churn: float = Field(default=0.9, ge=0, le=1)
    """The highest share of the incumbent's lists that may be others in the challenger's; 1: all."""
    max_drift: float = Field(default=0.25, ge=0)
    """The highest population stability index of the last day's event types against the four weeks before."""


class LimitSettings(_Section):
    """What a cleaning run may find before it fails: its clean rows are not committed then, what it rejects is kept."""

    min_rows: int = Field(default=1000, ge=1)
    """Of fewer rows no share is judged, nor is a day on which fewer are usual: a small shop has loud days."""
    max_rejected: float = Field(default=0.5, ge=0, le=1)
    """The highest share of rows that are rejected."""
    max_unknown_events: float = Field(default=0.2, ge=0, le=1)
    """The highest share of rows of an event that neither source.weights nor source.events names."""
    min_volume: float = Field(default=0.1, ge=0, lt=1)
    """The last 24 hours have at least this share of what the same weekday of the last four weeks had; 0: any."""
    max_volume: float = Field(default=10.0, gt=1)
    """They have at most so many times that."""


class KeepSettings(_Section):
    """How long the lake keeps what: `dawnlist lake expire` drops what is older. All in days."""

    interactions_days: int = Field(default=365, ge=3)
    """Of event time; shorter than a run's window_days cuts what it learns from."""
    landing_days: int = Field(default=30, ge=1)
    """Landing objects, which hold addresses as the source gave them."""
    quarantine_days: int = Field(default=30, ge=1)
    """Rejected rows, which hold the same."""
    runs_days: int = Field(default=90, ge=1)
    """Run records and reports."""
    time_travel_days: int = Field(default=7, ge=1)
    """An older version of a table can be read for so long; then the files that only it needs go."""


class EngineSettings(_Section):
    """What computes: a library in the step's own process, or Spark when that is too small."""

    clean: Literal["duckdb", "spark"] = "duckdb"
    train: Literal["ials", "implicit", "spark"] = "ials"
    """What tune, train and refit fit with."""
    spark: str = "local[*]"
    """Where Spark is: local[CORES], local-cluster[EXECUTORS,CORES,MEGABYTES], spark://, k8s:// or sc://HOST:15002."""

    @field_validator("spark")
    @classmethod
    def _known(cls, url: str) -> str:
        classify_spark_url(url)
        return url


class NotifySettings(_Section):
    """When people are told of a run; who they are, the environment says: DAWNLIST_NOTIFY_URLS (docs/NOTIFY.md)."""

    when: Literal["always", "failure", "never"] = "always"
    """After each run, or only after one that broke; `on` would be read as a yes by YAML."""
    try_seconds: float = Field(default=120.0, ge=1, le=900)
    """A server that does not take a message is tried again for so long; then the next run's notify does."""
    kubeflow_url: str = ""
    """The address of Kubeflow's UI, for a link to the run, e.g. https://kubeflow.example/pipeline."""
    reports_url: str = ""
    """Where a browser finds the lake's folder `reports`, for a link to the report."""

    @field_validator("kubeflow_url", "reports_url")
    @classmethod
    def _web(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s@?#]+", url):
            raise ValueError(
                "an address that begins with https:// or http://, without a user, is needed"
            )
        return url.rstrip("/")


class Settings(_Section):
    """All settings of one shop."""

    source: SourceSettings = Field(default_factory=SourceSettings)
    bots: BotSettings = Field(default_factory=BotSettings)
    gate: GateSettings = Field(default_factory=GateSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    keep: KeepSettings = Field(default_factory=KeepSettings)
    engines: EngineSettings = Field(default_factory=EngineSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)

    @classmethod
    def load(cls, uri: str) -> "Settings":
        """Read and check; ValueError in one line that names the place, the value and the rule."""
        if not uri:
            return cls()
        try:
            document = yaml.safe_load(_read_document(uri)) or {}
        except yaml.YAMLError as error:
            raise ValueError(
                f"settings {uri!r} are no YAML: {' '.join(str(error).split())}"
            ) from None
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            told = [
                f"{explain_validation_error(one)}{_list_known_settings(one['loc'][:-1], one['type'])}"
                for one in error.errors()
            ]
            raise ValueError(f"settings {uri!r}: {'; '.join(told)}") from None

    @property
    def digest(self) -> str:
        """Sixteen hex digits that other settings don't have: what a model's lineage names them by."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def _read_document(uri: str) -> bytes:
    absolute = uri if "://" in uri else Path(uri).expanduser().resolve().as_uri()
    filesystem, path = pafs.FileSystem.from_uri(absolute)
    try:
        with filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        raise ValueError(
            f"settings {uri!r} were not found: give a YAML file, or nothing for the defaults"
        ) from None


def _list_known_settings(section: tuple[int | str, ...], kind: str) -> str:
    """After an unknown setting: those that the section has."""
    if kind != "extra_forbidden":
        return ""
    model: Any = Settings
    for name in section:
        model = model.model_fields[name].annotation
    return f"; there are {', '.join(model.model_fields)}"


def explain_validation_error(error: object) -> str:
    """One of pydantic's errors as the place, the value and the rule."""
    details = dict(error)  # type: ignore[call-overload]
    place = ".".join(map(str, details["loc"])) or "the document"
    rule = (
        UNKNOWN_SETTING
        if details["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        else details["msg"]
    )
    return f"{place} is {mask_passwords(repr(details['input']))}: {rule}"
