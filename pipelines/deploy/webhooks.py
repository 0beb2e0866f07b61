"""Wait for admission webhooks that do not answer yet, such as KServe's right after its install."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from dawnlist.pipelines.deploy.manifests import KubernetesObject

WEBHOOK_WAIT_SECONDS = 120.0
"""After the first failed call of a webhook, objects are tried again for this long."""
WEBHOOK_PAUSE_SECONDS = 3.0

_FAILED_CALL = re.compile(r'failed calling webhook "(?P<name>[^"]+)"')
"""How an API server words that it could not call a webhook. A webhook that refuses an object is
worded `admission webhook "…" denied the request`."""


class WebhookUnavailableError(ConnectionError):
    """The API server could not call an admission webhook, so it took no decision on an object."""


def find_failed_webhook(reason: str) -> str:
    """Return the name of the webhook that a refusal could not call; empty for other refusals."""
    failed_call = _FAILED_CALL.search(reason)
    if failed_call is None:
        return ""
    return failed_call["name"]


def describe_failed_webhook(subject: str, webhook: str, reason: str) -> str:
    """Say which webhook does not answer, why, and how to look after it."""
    cause = reason.rpartition(": ")[2]
    return (
        f"{subject}: the webhook {webhook} does not answer ({cause}): check that its operator runs "
        "(kubectl get pods --namespace kserve), then deploy again"
    )


@dataclass
class WebhookPatience:
    """Tries calls again while a webhook does not answer: one period for all objects of a deploy."""

    announce: Callable[[str], None]
    """Called with a line when the waiting begins, and with another when it is over."""
    first_failure: float | None = None
    """When a webhook failed to answer for the first time, by the monotonic clock."""

    def apply(self, apply_object: Callable[[], KubernetesObject]) -> KubernetesObject:
        """Call `apply_object` until no webhook keeps it waiting, and return what it returns.

        Raises:
            WebhookUnavailableError: The webhook has not answered within WEBHOOK_WAIT_SECONDS.
        """
        is_waiting = False
        while True:
            try:
                applied = apply_object()
            except WebhookUnavailableError as error:
                self._wait(error)
                is_waiting = True
                continue
            if is_waiting and self.first_failure is not None:
                seconds = time.monotonic() - self.first_failure
                self.announce(f"the webhook answers after {seconds:.0f} s")
            return applied

    def _wait(self, error: WebhookUnavailableError) -> None:
        now = time.monotonic()
        if self.first_failure is None:
            self.first_failure = now
            message = str(error).partition(": check that")[0]
            self.announce(f"{message}: trying again for {WEBHOOK_WAIT_SECONDS:.0f} s")
        if now - self.first_failure >= WEBHOOK_WAIT_SECONDS:
            raise error
        time.sleep(WEBHOOK_PAUSE_SECONDS)
