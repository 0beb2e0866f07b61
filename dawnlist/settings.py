"""Validated settings of one shop: its source, its bot rules, its gate and what its lake keeps.

They are read from one YAML document: a path or a file://, gs:// or s3:// URI. With an empty URI
every setting has its default.
"""

import hashlib
import re
import zoneinfo
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pyarrow.fs as pafs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from dawnlist.machine.spark_url import classify_spark_url
from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.values import MAX_DESCRIPTION, cut_text, describe_value
from dawnlist.yaml_documents import parse_yaml

MOUNTED_SETTINGS: Final = "/settings/settings.yaml"
"""Where each pod finds the shop's settings, if the cluster has them (docs/KUBEFLOW.md)."""
UNKNOWN_SETTING: Final = "there is no such name"
MAX_EXPLAINED_ERRORS: Final = 20
"""Errors in settings that a message explains; it gives the number of the others."""
MAX_RULE: Final = 600
"""Characters of a broken rule in a message; a longer one is cut."""
NETWORK_BITS = {4: 24, 6: 48}
"""How many bits of an address the lake keeps, by IP version."""


def _restore_rule_mode(value: object) -> object:
    """Turn YAML's booleans back into words: without quotes, YAML reads on and off as booleans."""
    if value is True:
        return "on"
    if value is False:
        return "off"
    return value


RuleMode = Annotated[Literal["on", "off", "shadow"], BeforeValidator(_restore_rule_mode)]
"""on: the rule drops events; shadow: it reports them and drops nothing; off: it does not run."""


def _check_web_address(url: str) -> str:
    """Check an address that a browser or a client may open; it may be empty."""
    if url and not re.fullmatch(r"https?://[^\s@?#]+", url):
        raise ValueError("give an address that begins with https:// or http://, without a user")
    return url.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_check_web_address)]
"""An address that begins with https:// or http://; it has no user, no password and no query."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSettings(_Section):
    """Where the source keeps its data, and what its columns and values mean."""

    interactions: str = "interactions"
    """The table, folder or file that holds the interactions."""
    items: str = "items"
    """The table or file that holds the items. The source may lack it."""
    users: str = "users"
    """The table or file that holds the users. The source may lack it."""
    time_column: str = "received_at"
    """In a database, the indexed column, in UTC, by which the rows of a window are selected.

    Files have no such column: their rows are selected by the time of the event.
    """
    overlap_minutes: float = Field(default=60.0, ge=0)
    """Begin a window this many minutes before the end of the last one.

    This catches rows that were committed later than their time says; with 0 they are missed. Files
    that are named by day are read without an overlap.
    """
    check_days: int = Field(default=7, ge=0, le=30)
    """Count the source's rows again for this many days before a window, at most 30.

    The report names the days that have got more rows since they were fetched. 0 counts no day
    again.
    """
    statement_timeout_seconds: float = Field(default=600.0, gt=0)
    """Cancel a query on the source database after this many seconds."""
    collected_events: bool = False
    """Learn from the events that the collector landed, too (docs/COLLECTOR.md).

    An event that the source has under the same event_id counts once.
    """
    columns: dict[str, list[str]] = Field(default_factory=dict)
    """The source's names for our columns, in addition to the usual ones, e.g. {user_id: [visitor]}.

    Case, underscores, dots and blanks make no difference. A path names a value inside a column of
    objects, e.g. {item_id: [properties.product_id]}; its keys are written as the source does. An
    empty list says that the source has no such column, whatever its names are, e.g. {event_id: []}.
    """
    events: dict[str, str] = Field(default_factory=dict)
    """The event type for each of the source's event names, e.g. {addtocart: cart}.

    The source's names are converted to lower case first.
    """
    default_event: str = ""
    """The event type of all rows if the source has no event column, e.g. view.

    If this is empty, a source without an event column is refused.
    """
    weights: dict[str, float] = Field(default_factory=lambda: dict(EVENT_WEIGHTS))
    """How much an event of each type counts, where a view counts 1; below 1000.

    What is given is added to the defaults and wins over them, e.g. {purchase: 10, wishlist: 2}.
    0 says that events of this type are not wanted: they are rejected, and no limit counts them.
    Rows with an event type that is not listed here are rejected as unknown.
    """
    rating_scale: float | None = Field(default=None, gt=0)
    """The highest possible rating; a rating counts weights.rating * rating / rating_scale.

    None takes the scale of the recognised layout (5 for MovieLens and Amazon), or else 10.
    """
    double_click_seconds: float = Field(default=2.0, ge=0)
    """Count repeated events of one type by one user on one item as one within this many seconds.

    0 counts every event.
    """
    time_zone: str = "UTC"
    """The IANA time zone of event times that do not name one, e.g. Europe/Berlin.

    The time column of a database is always in UTC.
    """
    time_format: str = ""
    """The format of event times that are neither ISO-8601 nor numbers, e.g. %d/%m/%Y %H:%M.

    It may contain %Y %m %b %d %H %I %p %M %S %f %z %a, blanks and : , . / -. Without it, ISO-8601,
    RFC 2822 (Mon, 05 Jan 2026 10:11:12 +0100), Apache's form and numbers are read.
    """

    def fill_from_hints(self, hints: Mapping[str, Any]) -> "SourceSettings":
        """Return these settings, completed by what is known about the source's layout.

        The settings win over the hints. The result always has a rating_scale.

        Args:
            hints: May have columns, events, default_event and rating_scale; see
                dawnlist.components.fetch.layouts.
        """
        columns = dict(self.columns)
        for name, names in hints.get("columns", {}).items():
            columns[name] = [*self.columns.get(name, []), *names]
        default_event = self.default_event or hints.get("default_event", "")
        rating_scale = self.rating_scale or hints.get("rating_scale") or 10.0
        return self.model_copy(
            update={
                "columns": columns,
                "events": {**hints.get("events", {}), **self.events},
                "default_event": default_event,
                "rating_scale": rating_scale,
            }
        )

    @property
    def wanted_weights(self) -> dict[str, float]:
        """The weights of the event types that are wanted, all above 0."""
        return {event: weight for event, weight in self.weights.items() if weight > 0}

    @field_validator("weights")
    @classmethod
    def _add_default_weights(cls, weights: dict[str, float]) -> dict[str, float]:
        for event, weight in weights.items():
            if not 0 <= weight < 1000:
                raise ValueError(
                    f"the weight of {event!r} is {weight}: give a number below 1000, "
                    "or 0 if these events are not wanted"
                )
        given_weights = {event.strip().lower(): weight for event, weight in weights.items()}
        all_weights = {**EVENT_WEIGHTS, **given_weights}
        if not any(all_weights.values()):
            raise ValueError("every event type has the weight 0: name one that is wanted")
        return all_weights

    @field_validator("events")
    @classmethod
    def _lower_event_types(cls, events: dict[str, str]) -> dict[str, str]:
        return {name: event_type.strip().lower() for name, event_type in events.items()}

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, zone: str) -> str:
        try:
            zoneinfo.ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                "this is not the name of an IANA time zone, such as UTC or Europe/Berlin"
            ) from None
        return zone

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, time_format: str) -> str:
        if time_format and not re.fullmatch(r"(%[YmbdHIpMSafz]|[ :,./-])+", time_format):
            raise ValueError(
                "give a format of %Y %m %b %d %H %I %p %M %S %f %z %a, with blanks and : , . / - "
                "between them"
            )
        return time_format


class ItemSettings(_Section):
    """Which items are withdrawn: in no list, and in no answer of the predictor.

    `dawnlist items withdraw` withdraws items within a second, without a run.
    """

    blocked: list[str] = Field(default_factory=list)
    """The ids of items that no list may have."""
    catalogue: Literal["auto", "full", "partial"] = "auto"
    """What it means that the items table lacks an item. Without a table nothing is withdrawn.

    partial: the item is withdrawn only if an earlier items table listed it. full: it is withdrawn.
    auto: full if the table lists at least 95% of what people met in the last 28 days, and of what
    nobody met before them, else partial.
    """
    unavailable_words: list[str] = Field(default_factory=list)
    """Words by which the source says that an item is not available, besides the usual ones.

    The usual ones are false, no, 0, out of stock, sold out, unavailable, discontinued and others;
    see docs/CLEANING.md. source.columns.available names the column if it has an unusual name.
    """
    max_coverage_fall: float = Field(default=0.5, ge=0, le=1)
    """Accept an items table that covers at most this share less of what people used lately.

    It is compared with the table before, by the events of the last 28 days. A table that covers
    less is taken for damaged, and the one before stays. Likewise, a column that makes more of this
    unavailable is ignored. 1 accepts any table.
    """

    @field_validator("blocked", "unavailable_words")
    @classmethod
    def _check_not_blank(cls, texts: list[str]) -> list[str]:
        if any(not text.strip() for text in texts):
            raise ValueError("a blank text names nothing: remove it")
        return texts


class BotSettings(_Section):
    """Which interactions are dropped because no customer made them."""

    declared_crawlers: RuleMode = "on"
    """Drop crawlers and programs that name themselves in their user agent."""
    previews_and_monitors: RuleMode = "on"
    """Drop programs that preview links (such as Facebook and Slack) or monitor the shop."""
    staff: RuleMode = "on"
    """Drop internal and test accounts.

    They are described by staff_domains, staff_roles, staff_ids and internal_networks.
    """
    behaviour: RuleMode = "on"
    """Drop users who do what people can't or don't do, such as no sleep for days; see docs/BOTS.md."""
    max_behaviour_share: float = Field(default=0.01, ge=0, le=1)
    """Put the behaviour rule into shadow by itself when it would drop more than this share of events.

    It also goes into shadow when it would drop one of the hundred users with most purchases.
    """
    staff_domains: list[str] = Field(default_factory=list)
    """The domains of the e-mail addresses of the shop's staff, e.g. [shop.example]."""
    staff_roles: list[str] = Field(default_factory=lambda: ["staff", "test", "internal", "admin"])
    """The roles that mark internal and test accounts, in any case. It replaces the default."""
    staff_ids: list[str] = Field(default_factory=list)
    """The user ids of internal and test accounts."""
    internal_networks: list[str] = Field(default_factory=list)
    """The shop's own networks as CIDR ranges, e.g. [10.0.0.0/8, 2001:db8:7::/48].

    A range may not be narrower than /24 (IPv4) or /48 (IPv6), since the lake keeps no more of an
    address.
    """
    allow: list[str] = Field(default_factory=list)
    """The ids of users whom no rule drops."""
    allow_agents: list[str] = Field(default_factory=lambda: ["MetaIAB"])
    """Texts that mark a person's user agent; what is given is added to the default.

    Add the shop's own apps, e.g. [ShopApp/], if the library that they use names itself. The default
    is Facebook's browser for people, which the list crawler-user-agents takes for the link preview.
    """
    deny_agents: list[str] = Field(default_factory=list)
    """Texts that mark a user agent as a program's if it contains one of them.

    They are judged by the rule `deny`, which is always on, and win over allow_agents. Their case
    counts. Add what the lists don't know, e.g. [PriceWatch/].
    """
    deny: list[str] = Field(default_factory=list)
    """The ids of users who are always dropped, even if `allow` names them."""

    @field_validator(
        "staff_domains",
        "staff_roles",
        "staff_ids",
        "allow",
        "allow_agents",
        "deny_agents",
        "deny",
    )
    @classmethod
    def _check_not_blank(cls, texts: list[str]) -> list[str]:
        if any(not text.strip() for text in texts):
            raise ValueError("a blank text would match everybody who has no value: remove it")
        return texts

    @field_validator("allow_agents")
    @classmethod
    def _add_default_agents(cls, texts: list[str]) -> list[str]:
        default = cls.model_fields["allow_agents"].get_default(call_default_factory=True)
        return list(dict.fromkeys([*default, *texts]))

    @field_validator("internal_networks")
    @classmethod
    def _check_networks(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text!r} is not a network ({error}): give e.g. 10.0.0.0/8"
                ) from None
            finest = NETWORK_BITS[network.version]
            if network.prefixlen > finest:
                raise ValueError(
                    f"{text!r} is narrower than the /{finest} that the lake keeps of an address: "
                    f"give {network.supernet(new_prefix=finest)}, if all of it is internal"
                )
        return networks


class ListSettings(_Section):
    """What the lists may hold."""

    repeats: Literal["auto", "on", "off"] = "auto"
    """Whether a list may hold items that the user has met.

    With auto the search decides: it also tries lists without them, and items that users met again
    count as hits for both. With off such items are in no list and are no hits.
    """


class GateSettings(_Section):
    """What a challenger must show before its configuration goes live, and a day before any does.

    docs/GATE.md explains each rule.
    """

    margin: float = Field(default=0.01, ge=0, lt=1)
    """Accept a challenger whose metric is lower than the incumbent's by at most this share.

    The evidence must show that the loss is not larger; it must also not show that the challenger
    is behind the popularity list by more. 0 accepts no loss.
    """
    min_users: int = Field(default=100, ge=1)
    """Require this many evaluated users, together with those of the gates of the last 28 days.

    The holdout, and the validation period before it, go back as many days as it takes to have so
    many, up to 28. With fewer users for validation nothing is searched. Segments with fewer users
    are not judged.
    """
    max_lift_fall: float = Field(default=0.03, ge=0, lt=1)
    """Accept a lift over popularity at most this share below its median of the last 28 days.

    The challengers of the last 28 days together may lose no more than this share, either. 0 accepts
    no fall.
    """
    min_coverage: float = Field(default=0.5, ge=0, le=1)
    """Require that the lists show at least this share of the items that the incumbent's show.

    A challenger that is shown to be better than the incumbent need not. All lists together must
    show as many items as one list has. 0 requires only that.
    """
    max_segment_fall: float = Field(default=0.2, ge=0, le=1)
    """Accept a metric that is at most this share below the incumbent's, in each segment.

    Three standard errors are allowed in addition. 1 accepts any loss.
    """
    min_events: int = Field(default=100, ge=0)
    """Require this many events in the last 24 hours; 0 requires none.

    On a weekday that usually has few events, fewer are enough: those that `max_volume_fall` accepts.
    """
    max_dropped: float = Field(default=0.8, ge=0, le=1)
    """Publish nothing if the bot filter dropped more than this share of the last 24 hours' events.

    1 accepts any share.
    """
    max_volume_fall: float = Field(default=0.4, ge=0, le=1)
    """Accept a last day with at most this share fewer events than the same weekday usually has.

    Usual is the median of the last four weeks. 1 accepts a day without events.
    """
    max_churn: float = Field(default=0.9, ge=0, le=1)
    """Accept a challenger that replaces at most this share of the items in the live lists.

    If more than this share of the live model's items is gone from the events, or of the last day's
    events has items that nobody met before, nothing is published.
    1 accepts lists that are entirely different.
    """
    max_drift: float = Field(default=0.25, ge=0)
    """Accept at most this population stability index of the event types.

    It compares the last day with the 28 days before. 0 accepts no change at all.
    """


class LimitSettings(_Section):
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


class KeepSettings(_Section):
    """How many days the lake keeps its data. `dawnlist lake expire` deletes what is older."""

    interactions_days: int = Field(default=365, ge=3)
    """Keep interactions for this many days after the event, at least 3.

    If this is less than a run's window_days, the run has fewer days to learn from.
    """
    landing_days: int = Field(default=30, ge=1)
    """Keep landing objects for this many days. They hold IP addresses as the source gave them."""
    quarantine_days: int = Field(default=30, ge=1)
    """Keep rejected rows for this many days. They hold IP addresses as the source gave them."""
    runs_days: int = Field(default=90, ge=1)
    """Keep run records, reports, gates, trials and models for this many days."""
    time_travel_days: int = Field(default=7, ge=1)
    """Keep older versions of a table readable for this many days.

    After that the files that only those versions need are deleted.
    """


class EngineSettings(_Section):
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


class NotifySettings(_Section):
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


class ModelRegistrySettings(_Section):
    """Kubeflow's Model Registry (Kubeflow Hub), in which published versions are entered.

    The environment variable DAWNLIST_MODEL_REGISTRY_TOKEN holds its token, if it asks for one; see
    docs/REGISTRIES.md.
    """

    url: WebAddress = ""
    """The registry's address, e.g. http://model-registry-service.kubeflow:8080.

    If it is empty, no version is entered.
    """


class MlflowSettings(_Section):
    """The MLflow tracking server to which runs are logged, with their parameters and metrics.

    The environment variables MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD, identify the caller; see docs/REGISTRIES.md.
    """

    url: WebAddress = ""
    """The server's address, e.g. http://mlflow.mlflow:5000. If it is empty, no run is logged."""
    experiment: str = ""
    """The name of the experiment; if it is empty, `dawnlist-` and the shop's namespace."""


class CollectorSettings(_Section):
    """What the collector accepts, and how long what it keeps is kept (docs/COLLECTOR.md)."""

    browser_keys: dict[str, list[str]] = Field(default_factory=dict)
    """The publishable keys of browsers, each with the origins of the pages that may use it.

    E.g. {pk_shop: [https://shop.example]}. Servers' keys are secrets: DAWNLIST_COLLECTOR_KEYS.
    """
    events_per_second: float = Field(default=5000.0, gt=0)
    """Accept at most this many events a second with each key, in each process.

    Twice as many may come at once.
    """
    max_age_days: float = Field(default=7.0, gt=0, le=365)
    """Refuse an event that is older than this when it comes."""
    max_memory_share: float = Field(default=0.8, gt=0, lt=1)
    """Accept no event while the store uses more than this share of its maxmemory.

    Senders are asked to try again. Without maxmemory it is the share of the machine's memory.
    """
    durability: Literal["everysec", "always"] = "everysec"
    """What the store must do before an event counts as kept: its `appendfsync`.

    everysec: a crash of its machine may lose the last second. always: it loses nothing. A store
    that does less is refused at start.
    """
    duplicate_minutes: float = Field(default=60.0, ge=1, le=1440)
    """Answer `duplicate` to an event that is sent again within so many minutes."""
    country_headers: list[str] = Field(default_factory=list)
    """Headers in which a trusted proxy or CDN names the sender's country, e.g. [CF-IPCountry].

    Name a header only if the proxy replaces what the sender wrote there. The first that is there
    counts, before place_file.
    """
    region_headers: list[str] = Field(default_factory=list)
    """Headers in which a trusted proxy or CDN names the part of the country."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Networks of proxies whose header X-Forwarded-For is believed, e.g. [10.0.0.0/8]."""
    place_file: str = ""
    """A file of MaxMind's format (.mmdb) that knows the places of addresses."""
    moods: dict[str, float] = Field(default_factory=dict)
    """The shop's moods and their signed weights, e.g. {"😍": 3, bored: -2}.

    What is given is added to the usual ones (docs/COLLECTOR.md) and wins over them.
    """
    session_minutes: float = Field(default=30.0, gt=0, le=1440)
    """A visit ends after so many minutes without an event."""
    alias_days: float = Field(default=30.0, gt=0, le=400)
    """Remember for so many days which user an anonymous id belongs to."""

    @field_validator("browser_keys")
    @classmethod
    def _check_browser_keys(cls, keys: dict[str, list[str]]) -> dict[str, list[str]]:
        for key, origins in keys.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]{3,100}", key):
                raise ValueError(
                    f"the key {key!r} is not made of 3 to 100 letters, digits, _ and -"
                )
            for origin in origins:
                if not re.fullmatch(r"https?://[^/?#\s]+", origin):
                    raise ValueError(
                        f"the origin {origin!r} of {key} is not like https://shop.example: leave out "
                        "the path"
                    )
        return keys

    @field_validator("country_headers", "region_headers")
    @classmethod
    def _lower_headers(cls, names: list[str]) -> list[str]:
        return [name.strip().lower() for name in names]

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text!r} is not a network ({error}): give e.g. 10.0.0.0/8"
                ) from None
        return networks

    @field_validator("moods")
    @classmethod
    def _check_moods(cls, moods: dict[str, float]) -> dict[str, float]:
        for mood, weight in moods.items():
            if not -1000 < weight < 1000:
                raise ValueError(f"the weight of {mood!r} is {weight}: give -999 to 999")
        return moods


class ShopSettings(_Section):
    """Where the shop is: what `dawnlist compile`, `submit`, `schedule` and `status` take by `--shop`.

    A run gets these values as its parameters; no step reads them here.
    """

    name: str = "default"
    """The shop's name. It prefixes every path and key."""
    source: str = ""
    """Where interactions come from, as the pods reach it, without a password."""
    lake: str = ""
    """The `gs://` or `s3://` address of the lake."""
    store: str = ""
    """The URL of the store, e.g. redis://HOST:6379/0, without a password."""
    settings: str = MOUNTED_SETTINGS
    """Where the pods find these settings."""


class Settings(_Section):
    """All settings of one shop."""

    source: SourceSettings = Field(default_factory=SourceSettings)
    """Where the source keeps its data."""
    bots: BotSettings = Field(default_factory=BotSettings)
    """Which interactions are dropped because no customer made them."""
    lists: ListSettings = Field(default_factory=ListSettings)
    """What the lists may hold."""
    gate: GateSettings = Field(default_factory=GateSettings)
    """What a challenger must show before it goes live."""
    limits: LimitSettings = Field(default_factory=LimitSettings)
    """When a cleaning run fails."""
    keep: KeepSettings = Field(default_factory=KeepSettings)
    """How many days the lake keeps its data."""
    engines: EngineSettings = Field(default_factory=EngineSettings)
    """What does the computing."""
    notify: NotifySettings = Field(default_factory=NotifySettings)
    """When people get a message about a run."""
    items: ItemSettings = Field(default_factory=ItemSettings)
    """Which items are withdrawn."""
    model_registry: ModelRegistrySettings = Field(default_factory=ModelRegistrySettings)
    """Where published versions are entered."""
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings)
    """Where runs are logged."""
    collector: CollectorSettings = Field(default_factory=CollectorSettings)
    """What the collector of events accepts."""
    shop: ShopSettings = Field(default_factory=ShopSettings)
    """Where the shop is."""

    @classmethod
    def load(cls, uri: str) -> "Settings":
        """Read and check the settings.

        Args:
            uri: A path, or a file://, gs:// or s3:// URI. Empty: all defaults. The same goes for
                MOUNTED_SETTINGS on a cluster that has no settings for the shop.

        Raises:
            ValueError: a setting is wrong. The message is one line with its name, its value and
                the rule that it breaks.
        """
        if not uri or (uri == MOUNTED_SETTINGS and not Path(uri).exists()):
            return cls()
        text = _read_document(uri)
        try:
            document = parse_yaml(text) or {}
        except ValueError as error:
            raise ValueError(f"settings {uri!r} are not valid YAML: {error}") from None
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            problems = explain_validation_errors(error, _list_known_settings)
            raise ValueError(f"settings {uri!r}: {problems}") from None

    @property
    def digest(self) -> str:
        """Sixteen hex digits that identify these settings in a model's lineage."""
        computing = self.model_dump_json(exclude={"shop"})
        return hashlib.sha256(computing.encode()).hexdigest()[:16]


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


def _list_known_settings(details: Any) -> str:
    """Return the names that a section has, to follow the error about an unknown one."""
    if details["type"] != "extra_forbidden":
        return ""
    model: Any = Settings
    for name in details["loc"][:-1]:
        model = model.model_fields[name].annotation
    return f"; the names here are {', '.join(model.model_fields)}"


def _add_nothing(details: Any) -> str:
    """Return no text to follow an error."""
    return ""


def explain_validation_errors(
    error: ValidationError, build_suffix: Callable[[Any], str] = _add_nothing
) -> str:
    """Explain the first of pydantic's errors on one line, and say how many more there are.

    `build_suffix` returns what is to follow each error.
    """
    all_details = error.errors()
    explanations = []
    for details in all_details[:MAX_EXPLAINED_ERRORS]:
        explanations.append(_explain_error(details) + build_suffix(details))
    more = len(all_details) - len(explanations)
    if more:
        explanations.append(f"and {more} more")
    return "; ".join(explanations)


def _explain_error(details: Any) -> str:
    """Explain one of pydantic's errors: the setting's name, its value and the broken rule."""
    name = ".".join(map(str, details["loc"])) or "the document"
    rule = details["msg"]
    if details["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        rule = UNKNOWN_SETTING
    value = describe_value(details["input"])
    return f"{cut_text(name, MAX_DESCRIPTION)} is {value}: {cut_text(rule, MAX_RULE)}"
