"""Show a run in the terminal while it is followed."""

import time
from typing import Final

from rich.markup import escape

from dawnlist.pipelines import terminal
from dawnlist.pipelines.kubeflow.run_following import (
    API_OUTAGE_SECONDS,
    RunningStep,
)
from dawnlist.pipelines.kubeflow.waiting_pods import WaitingPod
from dawnlist.pipelines.terminal import StepStatus
from dawnlist.urls import format_error

STATE_MARKS: Final = {"SUCCEEDED": "[green]✓[/]", "SKIPPED": "[dim]-[/]"}
FAILURE_MARK: Final = "[red]✗[/]"
REPEAT_SECONDS: Final = 60
"""A waiting pod whose reason changes is mentioned at most once in so many seconds."""


class TerminalDisplay:
    """Prints a line for each event on standard error, and shows the steps that run below them."""

    def __init__(self, status: StepStatus) -> None:
        self._status = status
        self._mentioned: dict[str, tuple[str, float]] = {}
        """For each pod: the last reason that was printed, and when."""

    def show_ended(self, step: str, state: str, seconds: float, error: str) -> None:
        """Print a line for a step that has ended."""
        mark = STATE_MARKS.get(state, FAILURE_MARK)
        reason = f"  {escape(format_error(error))}" if error else ""
        self._print(f"{mark} {escape(step):<14}{seconds:8.1f} s{reason}")

    def show_running(self, steps: list[RunningStep]) -> None:
        """Show the names and the seconds of the steps that run now."""
        self._status.show({step.name: step.seconds for step in steps})

    def show_waiting(self, pods: list[WaitingPod]) -> None:
        """Print a line for each pod that waits, when it is found and when its reason has changed."""
        for pod in pods:
            key = pod.name or pod.step
            reason, printed_at = self._mentioned.get(key, ("", -REPEAT_SECONDS))
            is_due = time.monotonic() - printed_at >= REPEAT_SECONDS
            if pod.reason != reason and is_due:
                self._mentioned[key] = (pod.reason, time.monotonic())
                self._print(f"[yellow]![/] {escape(describe_waiting_pod(pod))}")

    def show_overdue(self, seconds: float) -> None:
        """Print that the run is ended, because a pod has waited for so many seconds."""
        minutes = seconds / 60
        self._print(f"[red]✗[/] a pod has waited for {minutes:.0f} min: the run is ended")

    def show_outage(self, error: Exception) -> None:
        """Print one line when the API goes."""
        message = escape(format_error(error))
        minutes = API_OUTAGE_SECONDS / 60
        self._print(
            f"[yellow]![/] {message}; the run goes on, and is followed again within {minutes:.0f} min"
        )

    def show_recovery(self, seconds: float) -> None:
        """Print one line when the API is back."""
        self._print(f"[green]✓[/] the API answers again, after {seconds:.0f} s")

    def _print(self, markup: str) -> None:
        terminal.err.print(markup, soft_wrap=True)


def describe_waiting_pod(pod: WaitingPod) -> str:
    """Describe a waiting pod in one line, with what helps against a full cluster."""
    text = f"{pod.step} waits for its pod, for {pod.seconds:.0f} s now: {pod.reason}"
    if "Insufficient memory" in pod.reason:
        text += " Smaller sizes request less (--interactions, docs/NODES.md)."
    return text
