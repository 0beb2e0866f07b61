"""The Pod Security Standard `restricted`, as Kubernetes 1.37 publishes it (it includes `baseline`).

Source: kubernetes.io, concepts/security/pod-security-standards; the same checks are in kubernetes/kubernetes,
staging/src/k8s.io/pod-security-admission/policy. Each function is one control and names what it refuses.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

Tree = dict[str, Any]
Found = Iterator[str]

VOLUMES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS: Final = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}  # fmt: skip
SELINUX_TYPES: Final = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}  # fmt: skip
PROFILES: Final = {"RuntimeDefault", "Localhost"}


def _containers(spec: Tree) -> Iterator[Tree]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(kind, ())


def _contexts(spec: Tree) -> Iterator[tuple[str, Tree]]:
    """The pod's security context and each container's, with a name for messages."""
    yield "the pod", spec.get("securityContext", {})
    for container in _containers(spec):
        yield container["name"], container.get("securityContext", {})


def host_namespaces(spec: Tree) -> Found:
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))


def host_process(spec: Tree) -> Found:
    for name, context in _contexts(spec):
        if context.get("windowsOptions", {}).get("hostProcess"):
            yield f"{name}: hostProcess"


def privileged(spec: Tree) -> Found:
    for name, context in _contexts(spec):
        if context.get("privileged"):
            yield f"{name}: privileged"


def capabilities(spec: Tree) -> Found:
    for container in _containers(spec):
        asked = container.get("securityContext", {}).get("capabilities", {})
        if "ALL" not in asked.get("drop", ()):
            yield f"{container['name']}: does not drop ALL capabilities"
        if set(asked.get("add", ())) - {"NET_BIND_SERVICE"}:
            yield f"{container['name']}: adds capabilities"


def volume_types(spec: Tree) -> Found:
    for volume in spec.get("volumes", ()):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']}: {', '.join(sorted(kinds))}"


def host_ports(spec: Tree) -> Found:
    for container in _containers(spec):
        if any(port.get("hostPort") for port in container.get("ports", ())):
            yield f"{container['name']}: hostPort"


def probe_hosts(spec: Tree) -> Found:
    for container in _containers(spec):
        handlers = [container.get(f"{kind}Probe") for kind in ("startup", "liveness", "readiness")]
        handlers += list(container.get("lifecycle", {}).values())
        for handler in filter(None, handlers):
            if any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
                yield f"{container['name']}: a probe or hook names a host"


def app_armor(spec: Tree) -> Found:
    for name, context in _contexts(spec):
        if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
            yield f"{name}: AppArmor is off"


def selinux(spec: Tree) -> Found:
    for name, context in _contexts(spec):
        options = context.get("seLinuxOptions", {})
        if (
            options.get("type", "") not in SELINUX_TYPES
            or options.get("user")
            or options.get("role")
        ):
            yield f"{name}: its own SELinux label"


def proc_mount(spec: Tree) -> Found:
    for name, context in _contexts(spec):
        if context.get("procMount", "Default") != "Default":
            yield f"{name}: procMount"


def sysctls(spec: Tree) -> Found:
    for wish in spec.get("securityContext", {}).get("sysctls", ()):
        if wish["name"] not in SYSCTLS:
            yield f"sysctl {wish['name']}"


def privilege_escalation(spec: Tree) -> Found:
    for container in _containers(spec):
        if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            yield f"{container['name']}: allowPrivilegeEscalation"


def _of_each_container(spec: Tree, name: str) -> Iterator[tuple[str, Any]]:
    """A field of each container's security context, or the pod's where the container says nothing."""
    default = spec.get("securityContext", {}).get(name)
    for container in _containers(spec):
        yield container["name"], container.get("securityContext", {}).get(name, default)


def non_root(spec: Tree) -> Found:
    for name, value in _of_each_container(spec, "runAsNonRoot"):
        if value is not True:
            yield f"{name}: runAsNonRoot != true"
    for name, context in _contexts(spec):
        if context.get("runAsUser") == 0:
            yield f"{name}: runAsUser=0"


def seccomp(spec: Tree) -> Found:
    for name, value in _of_each_container(spec, "seccompProfile"):
        if (value or {}).get("type") not in PROFILES:
            yield f"{name}: no seccomp profile"


CONTROLS: Final[list[Callable[[Tree], Found]]] = [
    host_namespaces, host_process, privileged, capabilities, volume_types, host_ports, probe_hosts, app_armor, selinux,
    proc_mount, sysctls, privilege_escalation, non_root, seccomp,
]  # fmt: skip


def restricted_violations(spec: Tree) -> list[str]:
    """What the namespace's label pod-security.kubernetes.io/enforce=restricted would refuse in a pod's spec."""
    return [found for control in CONTROLS for found in control(spec)]
