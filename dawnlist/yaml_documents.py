"""Parse YAML that a person wrote. Whatever is wrong with it is a ValueError with a short reason."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

MAX_REPEATED_NODES: Final = 100_000
"""Values that aliases may repeat. Ten lines of aliases to one another stand for billions."""
MAX_NUMBER: Final = 100
"""Characters of a number; converting one of millions of digits takes minutes."""
MAX_REASON: Final = 300
"""Characters of a reason; a longer one is cut."""
_NUMBER_TAGS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def parse_yaml(text: bytes, loader_class: Any = yaml.SafeLoader) -> Any:
    """Return the value of the only document, None if there is none.

    Raises:
        ValueError: the text is not YAML, or stands for more than a computer can hold. The message
            is the reason alone.
    """
    documents = list(parse_yaml_documents(text, loader_class))
    if len(documents) > 1:
        raise ValueError(f"it has {len(documents)} documents: leave one")
    return documents[0] if documents else None


def parse_yaml_documents(text: bytes | str, loader_class: Any = yaml.SafeLoader) -> Iterator[Any]:
    """Return the value of each document.

    Raises:
        ValueError: as for `parse_yaml`.
    """
    try:
        yield from _construct_documents(text, loader_class)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:
        # PyYAML also raises errors of its parts, such as KeyError for `!!bool maybe`.
        reason = " ".join(str(error).split()) or type(error).__name__
        if len(reason) > MAX_REASON:
            reason = reason[: MAX_REASON - 3] + "..."
        raise ValueError(reason) from None


def _construct_documents(text: bytes | str, loader_class: Any) -> Iterator[Any]:
    """Return the value of each document after its size was checked."""
    loader = loader_class(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            _check_repeated_nodes(node)
            yield loader.construct_document(node)
    finally:
        loader.dispose()


def _check_repeated_nodes(root: yaml.Node) -> None:
    """Raise ValueError if aliases repeat too much, or a number is too long."""
    sizes: dict[int, int | None] = {}
    repeated = _measure_node(root, sizes) - len(sizes)
    if repeated > MAX_REPEATED_NODES:
        raise ValueError(
            f"its aliases repeat more than {MAX_REPEATED_NODES:,} values: write out what you need"
        )


def _measure_node(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Return how many nodes a node stands for when each alias is written out.

    `sizes` has the sizes of the nodes that were measured, by id; None while one is being measured.
    """
    if id(node) in sizes:
        known_size = sizes[id(node)]
        if known_size is None:
            raise ValueError("a value refers to itself by an alias")
        return known_size
    sizes[id(node)] = None
    size = 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            size += _measure_node(key, sizes) + _measure_node(value, sizes)
    elif isinstance(node, yaml.SequenceNode):
        for element in node.value:
            size += _measure_node(element, sizes)
    elif node.tag in _NUMBER_TAGS and len(node.value) > MAX_NUMBER:
        raise ValueError(f"a number has {len(node.value):,} characters: write it in quotes")
    sizes[id(node)] = size
    return size
