"""What is kept of trials: judged users' values by content, so that a search resumes; and each run's table of them."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.metrics import METRICS

Trial = dict[str, Any]

MAX_CONFIG_NAME_LENGTH: Final = 200
"""Letters of a configuration's name: a file's may have 255, with what is put behind this one."""


@dataclass(frozen=True)
class TrialResult:
    """A configuration after so many sweeps, judged on the first users of the sample."""

    values: Float32Array
    """Shape (METRICS, users)."""
    fit_seconds: float
    """Of all sweeps so far."""
    seconds: float
    """Of this rung: its sweeps, and judging."""

    @property
    def users(self) -> int:
        """How many were asked."""
        return len(self.values[0])

    def of(self, metric: str, users: int) -> Float64Array:
        """One metric of the first so many users."""
        return self.values[METRICS.index(metric), :users].astype(np.float64)

    def more(self, values: Float32Array, fit_seconds: float, seconds: float) -> "TrialResult":
        """The same with the users that were asked after these."""
        return TrialResult(
            np.hstack([self.values, values]), fit_seconds, round(self.seconds + seconds, 3)
        )

    def means(self, users: int, k: int) -> dict[str, float]:
        """The metrics over the first so many users, e.g. `ndcg@20`."""
        return {f"{name}@{k}": round(float(self.of(name, users).mean()), 6) for name in METRICS}


EMPTY_RESULT = TrialResult(np.zeros((len(METRICS), 0), dtype=np.float32), 0.0, 0.0)


@dataclass(frozen=True)
class TrialArchive:
    """The finished trials of one piece of work: the same pairs, judged users and code."""

    lake: Lake
    work: str
    """Its fingerprint."""
    device: str

    def read(self, config: ALSConfig, sweeps: int, whom: str = "") -> TrialResult:
        """What was found already, maybe NOTHING."""
        data = self.lake.read(*self._place(config, sweeps, whom))
        if data is None:
            return EMPTY_RESULT
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return TrialResult(
                arrays["values"], *(float(arrays[name]) for name in ("fit_seconds", "seconds"))
            )

    def write(self, config: ALSConfig, sweeps: int, judged: TrialResult, whom: str = "") -> None:
        """Keep it, in place of what was found on fewer users."""
        buffer = io.BytesIO()
        np.savez(
            buffer, values=judged.values, fit_seconds=judged.fit_seconds, seconds=judged.seconds
        )
        self.lake.write(buffer.getvalue(), *self._place(config, sweeps, whom))

    def _place(self, config: ALSConfig, sweeps: int, whom: str) -> tuple[str, ...]:
        told = f"-{whom}" if whom else ""
        return (
            "trials",
            self.work,
            f"{format_config_name(config, self.device)}-sweeps={sweeps}{told}.npz",
        )


def format_config_name(config: ALSConfig, device: str) -> str:
    """A name for one configuration, as it stands in object names."""
    values = {**config.as_dict(), "device": device}
    name = "-".join(
        value if isinstance(value, str) else f"{name}={value!r}" for name, value in values.items()
    )
    if len(name) <= MAX_CONFIG_NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[
        :16
    ]  # numbers with all their digits, as of a logspace
    return f"{name[: MAX_CONFIG_NAME_LENGTH - len(digest) - 1]}-{digest}"
