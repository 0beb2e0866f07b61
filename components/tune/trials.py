"""Store the results of trials in the lake, under a fingerprint of their input.

A search that was interrupted resumes from them.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.metric_names import METRICS

Trial = dict[str, Any]
"""A row of the table of trials, or a trial of a search's result. See search.search_configs."""

MAX_CONFIG_NAME_LENGTH: Final = 200
"""A file's name may have 255 letters, and more is appended to the configuration's name."""


@dataclass(frozen=True)
class TrialResult:
    """The scores of a configuration after some sweeps, on the first users of the sample."""

    values: Float32Array
    """Shape (METRICS, users)."""
    fit_seconds: float
    """Time of all sweeps so far."""
    seconds: float
    """Time of this rung: its sweeps and its scoring."""

    @property
    def users(self) -> int:
        """The number of users that are scored."""
        return len(self.values[0])

    def select_metric(self, metric: str, users: int) -> Float64Array:
        """Return one metric of each of the first `users` users."""
        return self.values[METRICS.index(metric), :users].astype(np.float64)

    def append_users(
        self, values: Float32Array, fit_seconds: float, seconds: float
    ) -> "TrialResult":
        """Return a result with the scores of more users after these ones."""
        all_values = np.hstack([self.values, values])
        return TrialResult(all_values, fit_seconds, round(self.seconds + seconds, 3))

    def average_metrics(self, users: int, k: int) -> dict[str, float]:
        """Return the mean of each metric, e.g. `ndcg@20`, over the first `users` users."""
        means = {}
        for name in METRICS:
            mean = float(self.select_metric(name, users).mean())
            means[f"{name}@{k}"] = round(mean, 6)
        return means


EMPTY_RESULT = TrialResult(np.zeros((len(METRICS), 0), dtype=np.float32), 0.0, 0.0)


@dataclass(frozen=True)
class TrialArchive:
    """The stored results of trials with the same pairs, the same users and the same code."""

    lake: Lake
    fingerprint: str
    """Identifies pairs, users and code."""
    device: str

    def read(self, config: ALSConfig, sweeps: int, suffix: str = "") -> TrialResult:
        """Return the stored result of a trial, or EMPTY_RESULT."""
        data = self.lake.read(*self._build_path(config, sweeps, suffix))
        if data is None:
            return EMPTY_RESULT
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            fit_seconds, seconds = float(arrays["fit_seconds"]), float(arrays["seconds"])
            return TrialResult(arrays["values"], fit_seconds, seconds)

    def write(self, config: ALSConfig, sweeps: int, result: TrialResult, suffix: str = "") -> None:
        """Store a result, in place of one on fewer users."""
        buffer = io.BytesIO()
        np.savez(
            buffer, values=result.values, fit_seconds=result.fit_seconds, seconds=result.seconds
        )
        self.lake.write(buffer.getvalue(), *self._build_path(config, sweeps, suffix))

    def _build_path(self, config: ALSConfig, sweeps: int, suffix: str) -> tuple[str, ...]:
        name = f"{format_config_name(config, self.device)}-sweeps={sweeps}"
        if suffix:
            name = f"{name}-{suffix}"
        return "trials", self.fingerprint, f"{name}.npz"


def format_config_name(config: ALSConfig, device: str) -> str:
    """Return a name for a configuration, as it is part of object names."""
    values = config.as_dict() | {"device": device}
    words = []
    for name, value in values.items():
        if isinstance(value, str):
            words.append(value)
        else:
            words.append(f"{name}={value!r}")
    config_name = "-".join(words)
    if len(config_name) <= MAX_CONFIG_NAME_LENGTH:
        return config_name
    # Numbers with all their digits, as those of a logspace, make a name too long for a file.
    digest = hashlib.sha256(config_name.encode()).hexdigest()[:16]
    return f"{config_name[: MAX_CONFIG_NAME_LENGTH - len(digest) - 1]}-{digest}"
