"""Say where fits run."""

from dataclasses import dataclass
from typing import Final

from dawnlist.settings import EngineSettings

DEVICES: Final = ("cpu", "gpu")


@dataclass(frozen=True)
class FitEngine:
    """Where fits run: a step makes it once, from its settings and the device of its node.

    Raises:
        ValueError: The device is unknown.
    """

    device: str = "cpu"
    """One of DEVICES. A GPU that is missing is an error when a fit starts, never a silent CPU."""
    spark_url: str = "local[*]"
    """The URL of Spark, for configurations whose solver it is."""

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"device {self.device!r} is unknown: give cpu or gpu")

    @classmethod
    def from_settings(cls, engines: EngineSettings, device: str = "cpu") -> "FitEngine":
        """Take Spark's URL from the settings, and the device from the node of the step."""
        return cls(device, engines.spark)
