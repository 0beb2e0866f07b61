"""A simulated Argo controller: how often each step of a compiled package runs when something fails, and when.

It follows the sources, in Python:

- Kubeflow Pipelines, backend/src/v2/compiler/argocompiler: which templates a package becomes (`DAG`, `task` and
  `addContainerExecutorTemplate` of dag.go and container.go), and which of them has a retryStrategy
  (`getTaskRetryStrategyFromInput`: limit and backoff, never a policy).
- Argo Workflows 4.0, workflow/controller/operator.go: `mergedTemplateDefaultsInto` gives each template what it lacks
  of workflowDefaults.spec.templateDefaults, DAG templates too; `processNodeRetries` decides about the next try;
  `inferFailedReason` and `podReconciliation` name the phase of a pod that failed or is gone; dag.go, `assessDAGPhase`
  gives a DAG the phase of its first failed branch.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

Strategy = dict[str, Any]
"""A retryStrategy as in YAML: limit, retryPolicy, expression, backoff."""


@dataclass(frozen=True)
class End:
    """How a node ended."""

    phase: str
    """Succeeded, Failed, Error, or Omitted for a task that never ran."""
    message: str = ""
    exit_code: int = -1
    """-1: Argo saw none."""
    started: float = 0
    finished: float = 0

    @property
    def failed(self) -> bool:
        return self.phase in ("Failed", "Error")


SUCCEEDED: Final = End("Succeeded", exit_code=0)
EXIT_1: Final = End("Failed", "main: Error (exit code 1)", 1)
OUT_OF_MEMORY: Final = End("Failed", "main: OOMKilled (exit code 137)", 137)
DEADLINE: Final = End(
    "Failed", "Pod was active on the node longer than the specified deadline", 143
)
EVICTED: Final = End("Failed", "The node was low on resource: ephemeral-storage.")
"""The kubelet has removed the containers, and their exit codes with them."""
VANISHED: Final = End("Error", "pod deleted")
CAUSES: Final = {
    "exits with 1": EXIT_1,
    "killed for memory": OUT_OF_MEMORY,
    "reaches its time limit": DEADLINE,
    "evicted": EVICTED,
    "vanishes with its node": VANISHED,
}


@dataclass(frozen=True)
class Template:
    """A pod, or a DAG of tasks."""

    name: str
    strategy: Strategy | None = None
    tasks: tuple["Task", ...] = ()


@dataclass(frozen=True)
class Task:
    name: str
    template: Template
    after: tuple[str, ...] = ()
    on_exit: Template | None = None


def workflow_of(spec: dict[str, Any]) -> Template:
    """The workflow that Kubeflow Pipelines makes of a package's specification."""
    root = _dag(spec, "root", spec["root"]["dag"]["tasks"])
    driver = Task("root-driver", Template("root-driver"))
    return Template("entrypoint", tasks=(driver, Task("root", root, ("root-driver",))))


def _dag(spec: dict[str, Any], name: str, tasks: dict[str, Any]) -> Template:
    hooks = {
        before: Template(f"exit-hook-{task}", tasks=tuple(_tasks(spec, task, about, hooked=True)))
        for task, about in tasks.items() if _is_exit_task(about) for before in about["dependentTasks"]
    }  # fmt: skip
    made: list[Task] = []
    for task, about in tasks.items():
        if not _is_exit_task(about):
            driver, executor = _tasks(spec, task, about, hooked=False)
            made += [driver, replace(executor, on_exit=hooks.get(task))]
    return Template(name, tasks=tuple(_in_order(made)))


def _is_exit_task(about: dict[str, Any]) -> bool:
    strategy = about.get("triggerPolicy", {}).get("strategy")
    return bool(strategy == "ALL_UPSTREAM_TASKS_COMPLETED")


def _tasks(spec: dict[str, Any], name: str, about: dict[str, Any], hooked: bool) -> Iterator[Task]:
    """The driver of a task, and what it starts: a DAG, or the DAG around the pod."""
    before = () if hooked else tuple(about.get("dependentTasks", ()))
    yield Task(f"{name}-driver", Template(f"{name}-driver"), before)
    component = spec["components"][about["componentRef"]["name"]]
    if "dag" in component:
        template = _dag(spec, name, component["dag"]["tasks"])
    else:
        pod = Template(name, strategy_of(about))
        template = Template(f"{name}-executor", tasks=(Task("executor", pod),))
    yield Task(name, template, (f"{name}-driver",))


def strategy_of(task: dict[str, Any]) -> Strategy | None:
    """The retryStrategy that a task's pod gets; no policy is among it."""
    if not (policy := task.get("retryPolicy")):
        return None
    return {
        "limit": str(policy["maxRetryCount"]),
        "backoff": {
            "duration": policy["backoffDuration"].removesuffix("s"),
            "factor": str(int(policy["backoffFactor"])),
            "maxDuration": policy["backoffMaxDuration"].removesuffix("s"),
        },
    }


def _in_order(tasks: list[Task]) -> list[Task]:
    """The tasks, each after those that it waits for."""
    placed: dict[str, Task] = {}
    while len(placed) < len(tasks):
        for task in tasks:
            if task.name not in placed and all(before in placed for before in task.after):
                placed[task.name] = task
    return list(placed.values())


def merged(strategy: Strategy | None, defaults: Strategy | None) -> Strategy | None:
    """A template's strategy with what it lacks of the defaults (a strategic merge patch)."""
    if strategy is None or defaults is None:
        return strategy or defaults
    both = {**defaults, **strategy}
    if "backoff" in defaults and "backoff" in strategy:
        both["backoff"] = {**defaults["backoff"], **strategy["backoff"]}
    return both


@dataclass
class Controller:
    """Plays a workflow, and notes when each pod starts.

    A pod succeeds after `seconds`, unless `ends` says otherwise: it is given the pod's name and which start of that
    pod it is, from 0 on.
    """

    defaults: Strategy | None = None
    """workflowDefaults.spec.templateDefaults.retryStrategy of the controller's config map."""
    ends: Callable[[str, int], End] = lambda *_: SUCCEEDED
    seconds: dict[str, float] = field(default_factory=dict)
    usual_seconds: float = 60
    dag_message: bool = False
    """Argo after 4.1 gives a failed DAG the message `child '…' failed`; until then it has none."""
    starts: dict[str, list[float]] = field(default_factory=dict)

    def run(self, template: Template, now: float = 0) -> End:
        """A template with its retries (executeTemplate)."""
        strategy = merged(template.strategy, self.defaults)
        if strategy is None:
            return self._attempt(template, now, None)
        tries: list[End] = []
        deadline: float | None = None
        while True:
            if tries:
                last, stop, now, deadline = _decide(strategy, tries)
                if stop:
                    return replace(last, started=tries[0].started, message=stop)
            tries.append(self._attempt(template, now, deadline))
            if not tries[-1].failed:
                return replace(tries[-1], started=tries[0].started)

    def _attempt(self, template: Template, now: float, deadline: float | None) -> End:
        if template.tasks:
            return self._run_dag(template, now)
        starts = self.starts.setdefault(template.name, [])
        starts.append(now)
        end = self.ends(template.name, len(starts) - 1)
        finished = now + self.seconds.get(template.name, self.usual_seconds)
        if deadline is not None and finished > deadline:
            end, finished = End("Failed", "Step exceeded its deadline", 143), deadline
        return replace(end, started=now, finished=finished)

    def _run_dag(self, template: Template, now: float) -> End:
        ends: dict[str, End] = {}
        finished = now
        for task in template.tasks:
            before = [ends[name] for name in task.after]
            if any(end.phase != "Succeeded" for end in before):
                failed = next((end for end in before if end.failed), before[0])
                # an omitted task counts as its branch does
                ends[task.name] = replace(failed, phase=failed.phase)
                continue
            end = self.run(task.template, max([now, *(end.finished for end in before)]))
            ends[task.name] = end
            finished = max(finished, end.finished)
            if task.on_exit:
                finished = max(finished, self.run(task.on_exit, end.finished).finished)
        waited_for = {name for task in template.tasks for name in task.after}
        for name, end in ends.items():
            if name not in waited_for and end.failed:
                message = f"child '{name}' failed" if self.dag_message else ""
                return End(end.phase, message, -1, now, finished)
        return End("Succeeded", "", -1, now, finished)


def _decide(strategy: Strategy, tries: list[End]) -> tuple[End, str, float, float | None]:
    """processNodeRetries: the last try, why it was the last (or ""), when the next one starts, and its deadline."""
    last, count = tries[-1], len(tries)
    now, deadline = last.finished, None
    limit = int(strategy["limit"]) if "limit" in strategy else None
    if backoff := strategy.get("backoff"):
        if backoff.get("maxDuration"):
            deadline = tries[0].started + float(backoff["maxDuration"])
            if now >= deadline:
                return last, "Max duration limit exceeded", now, deadline
        wait = float(backoff["duration"])
        if int(backoff.get("factor", 0)) > 0:
            wait *= int(backoff["factor"]) ** (count - 1)
        if deadline is not None and now + wait > deadline:
            return last, "Backoff would exceed max duration limit", now, deadline
        if limit is not None and count <= limit:
            now += wait  # the wait comes before the policy is asked
    policy = strategy.get("retryPolicy") or (
        "Always" if strategy.get("expression") else "OnFailure"
    )
    if (last.phase == "Failed" and policy == "OnError") or (
        last.phase == "Error" and policy == "OnFailure"
    ):
        return last, last.message or "not to be retried", now, deadline
    if limit is not None and count > limit:
        return last, "No more retries left", now, deadline
    if strategy.get("expression") and not evaluate(strategy["expression"], last):
        return last, "retryStrategy.expression evaluated to false", now, deadline
    return last, "", now, deadline


def evaluate(expression: str, last: End) -> bool:
    """A retryStrategy's expression, of the operators that occur here (buildRetryStrategyLocalScope)."""
    text = re.sub(r"([\w.]+) startsWith ('[^']*')", r"\1.startswith(\2)", expression)
    text = text.replace("||", " or ").replace("&&", " and ")
    text = re.sub(r"!(?!=)", " not ", text)
    scope = {
        "lastRetry.status": last.phase,
        "lastRetry.message": last.message,
        "lastRetry.exitCode": str(last.exit_code),
    }
    for name in scope:
        text = text.replace(name, name.replace(".", "_"))
    names = {name.replace(".", "_"): value for name, value in scope.items()}
    return bool(eval(text, {"__builtins__": {}, "asInt": int}, names))
