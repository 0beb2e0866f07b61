"""Wait until the applied objects are ready."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.rollout_reasons import explain_not_ready
from dawnlist.pipelines.deploy.rollout_states import RolloutState, read_rollout_state

AWAITED_KINDS = ("PersistentVolumeClaim", "StatefulSet", "Deployment", "InferenceService")
SETTLE_SECONDS = 10.0
"""For this long after a change, an InferenceService's condition Ready may still describe the time
before it. No field of the object tells."""
EMPTY_PREDICTOR_SECONDS = 30.0
"""A predictor whose pods have all been up and empty for this long waits for its first version."""
NO_VERSION_MESSAGE = (
    "running, but no version has been published yet: start a run with `dawnlist submit`; if a run has "
    "already published, check that the predictor can reach the store"
)
QUIET_SECONDS = 15.0
"""When a state has not changed for this long, the reason for it is shown."""
FIRST_POLL_SECONDS = 0.1
SLOWEST_POLL_SECONDS = 3.0
"""The longest pause between two polls. Pauses grow from FIRST_POLL_SECONDS."""

StateCallback = Callable[[KubernetesObject, RolloutState], None]


@dataclass
class _AwaitedObject:
    """An object, and what was last seen of it."""

    document: KubernetesObject
    state: RolloutState | None = None
    """The last state that was read; None before the first poll."""
    state_since: float = 0.0
    """When that state was read first, by the monotonic clock."""
    shown_state: RolloutState | None = None
    """The last state that was shown."""


@dataclass
class _RolloutWatcher:
    """Polls objects, and shows each change of their states."""

    cluster: KubernetesCluster
    settle: float
    show: StateCallback
    start: float = field(default_factory=time.monotonic)

    def poll(self, awaited: _AwaitedObject) -> RolloutState:
        """Read an object's state, show it if it is new, and return it as shown."""
        state = self._read_state(awaited.document)
        now = time.monotonic()
        if state != awaited.state:
            awaited.state, awaited.state_since = state, now
        shown_state = self._interpret_state(awaited, state, now)
        if shown_state != awaited.shown_state:
            self.show(awaited.document, shown_state)
        awaited.shown_state = shown_state
        return shown_state

    def _read_state(self, document: KubernetesObject) -> RolloutState:
        try:
            return read_rollout_state(self.cluster, document)
        except (ConnectionError, TimeoutError) as error:
            # The API server may be restarting.
            return RolloutState(False, str(error))

    def _interpret_state(
        self, awaited: _AwaitedObject, state: RolloutState, now: float
    ) -> RolloutState:
        """Decide what a state means, given how long it has lasted."""
        is_service = awaited.document["kind"] == "InferenceService"
        if state.done:
            if is_service and now - self.start < self.settle:
                return RolloutState(False, "settling")
            return state
        quiet_seconds = now - awaited.state_since
        if state.empty and quiet_seconds >= EMPTY_PREDICTOR_SECONDS:
            return RolloutState(True, NO_VERSION_MESSAGE)
        if quiet_seconds < QUIET_SECONDS:
            return state
        return self._add_reason(awaited.document, state)

    def _add_reason(self, document: KubernetesObject, state: RolloutState) -> RolloutState:
        try:
            reason = explain_not_ready(self.cluster, document)[0]
        except (ConnectionError, TimeoutError) as error:
            return RolloutState(False, str(error))
        return replace(state, message=f"{state.message}: {reason}")


def wait_for_rollout(
    cluster: KubernetesCluster,
    documents: list[KubernetesObject],
    timeout: float,
    settle: float,
    show: StateCallback,
) -> list[KubernetesObject]:
    """Wait until the objects are ready, one is stuck, or the time is over.

    A predictor that has never had a version to serve counts as ready when all of its pods run: the
    first run of the pipeline publishes the version.

    Args:
        cluster: The cluster.
        documents: The applied objects. Kinds that are not in AWAITED_KINDS are ready at once.
        timeout: How many seconds to wait.
        settle: For how many seconds an InferenceService's condition Ready is not trusted.
        show: Called with each object when its state changes.

    Returns:
        The objects that are not ready.
    """
    watcher = _RolloutWatcher(cluster, settle, show)
    pending = [_AwaitedObject(one) for one in documents if one["kind"] in AWAITED_KINDS]
    pause = FIRST_POLL_SECONDS
    while pending:
        still_pending: list[_AwaitedObject] = []
        any_stuck = False
        for awaited in pending:
            state = watcher.poll(awaited)
            if not state.done:
                still_pending.append(awaited)
                any_stuck = any_stuck or state.stuck
        pending = still_pending
        seconds_left = watcher.start + timeout - time.monotonic()
        if not pending or seconds_left <= 0 or any_stuck:
            break
        pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
        time.sleep(min(pause, seconds_left))
    return [awaited.document for awaited in pending]
