"""Validated settings of one shop: its source, its bot rules, its gate and what its lake keeps.

Each module has the sections of one subject; `shop` joins them and reads the document.
"""

from dawnlist.settings.bots import NETWORK_BITS, BotSettings
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
from dawnlist.settings.shop import MOUNTED_SETTINGS, Settings, ShopSettings
from dawnlist.settings.source import SourceSettings

__all__ = [
    "MOUNTED_SETTINGS",
    "NETWORK_BITS",
    "BotSettings",
    "CollectorSettings",
    "EngineSettings",
    "GateSettings",
    "ItemSettings",
    "KeepSettings",
    "LimitSettings",
    "ListSettings",
    "MlflowSettings",
    "ModelRegistrySettings",
    "NotifySettings",
    "PartySettings",
    "Settings",
    "ShopSettings",
    "SourceSettings",
    "explain_validation_errors",
]
