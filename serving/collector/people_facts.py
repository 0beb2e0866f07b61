"""Find out what is known about the person of an event: by the request, or by the server that sent it.

A page speaks for the person who has it open: the request has their agent and their address. A
server speaks for others, so its own agent and address say nothing about them; it may give each
event those of the person.
"""

from typing import Final

from starlette.requests import Request

from dawnlist.rows.networks import parse_address
from dawnlist.serving.collector.acceptance import (
    PersonFacts,
    Record,
    RefusedEventError,
    RequestFacts,
    add_person_facts,
)
from dawnlist.serving.collector.places import Place, PlaceFinder

AGENT_FIELD: Final = "agent"
ADDRESS_FIELD: Final = "address"
MAX_AGENT_LENGTH: Final = 1_000


def describe_requesting_person(request: Request, places: PlaceFinder) -> PersonFacts:
    """Describe the person whose device sent the request."""
    peer = request.client.host if request.client else ""
    place = places.find_place(peer, request.headers)
    agent = request.headers.get("user-agent", "")[:MAX_AGENT_LENGTH]
    return _build_facts(agent, place)


def complete_record(record: Record, request: RequestFacts, places: PlaceFinder) -> None:
    """Add what is known about the person to a record. Their address goes no further than this.

    Raises:
        RefusedEventError: a page says what only a server may, or the address is none.
    """
    agent = record.pop(AGENT_FIELD, "")
    address = record.pop(ADDRESS_FIELD, "")
    if request.person is None:
        add_person_facts(record, _build_facts(agent, _find_place(address, places)))
        return
    for name, value in ((AGENT_FIELD, agent), (ADDRESS_FIELD, address)):
        if value:
            raise RefusedEventError(
                f"{name}: only a server gives it; that of a page is known by its request"
            )
    add_person_facts(record, request.person)


def _find_place(address: str, places: PlaceFinder) -> Place:
    if not address:
        return Place()
    if parse_address(address) is None:
        raise RefusedEventError(f"address: {address!r} is no IP address")
    return places.find_place(address, {})


def _build_facts(agent: str, place: Place) -> PersonFacts:
    return PersonFacts(agent, place.network, place.country, place.region)
