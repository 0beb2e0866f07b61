"""All settings of one shop: one YAML document, a path or a file://, gs:// or s3:// URI.

With an empty URI every setting has its default.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import pyarrow.fs as pafs
from pydantic import Field, ValidationError, model_validator

from dawnlist.settings.bots import BotSettings
from dawnlist.settings.collector import CollectorSettings
from dawnlist.settings.errors import explain_validation_errors
from dawnlist.settings.lists import GateSettings, ItemSettings, ListSettings
from dawnlist.settings.operations import (
    EngineSettings,
    KeepSettings,
    LimitSettings,
    MlflowSettings,
    ModelRegistrySettings,
    NotifySettings,
)
from dawnlist.settings.party import PartySettings
from dawnlist.settings.section import Section
from dawnlist.settings.source import SourceSettings
from dawnlist.source_columns import INTERACTION_ALIASES, ITEM_ALIASES, USER_ALIASES
from dawnlist.values import describe_value
from dawnlist.yaml_documents import parse_yaml

MOUNTED_SETTINGS: Final = "/settings/settings.yaml"
"""Where each pod finds the shop's settings, if the cluster has them (docs/KUBEFLOW.md)."""


class ShopSettings(Section):
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


class Settings(Section):
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
    party: PartySettings = Field(default_factory=PartySettings)
    """What rooms of watch parties are like."""
    shop: ShopSettings = Field(default_factory=ShopSettings)
    """Where the shop is."""

    @model_validator(mode="after")
    def _check_column_names(self) -> "Settings":
        known = {*INTERACTION_ALIASES, *ITEM_ALIASES, *USER_ALIASES, *self.items.columns}
        for name in self.source.columns:
            if name not in known:
                raise ValueError(
                    f"source.columns maps {describe_value(name)}, which is no column that we read: "
                    f"use one of {', '.join(INTERACTION_ALIASES)}, or for items one of "
                    f"{', '.join([*ITEM_ALIASES, *self.items.columns])}"
                )
        return self

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
