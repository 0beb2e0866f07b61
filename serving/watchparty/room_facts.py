"""What a room is, and who is in it."""

import hashlib
import json
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

MAX_NAME: Final = 32
"""Letters of a name, of a room or of a person."""
MAX_ITEM: Final = 512
MAX_PASSWORD: Final = 128
STRATEGIES: Final = ("mean", "least_misery", "mix")
"""How the list of a group weighs its members' scores."""
_CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "access": ("open", "invitation"),
    "control": ("all", "hosts"),
    "strategy": STRATEGIES,
    "guests": (True, False),
}
_WISHES: Final = ("name", "access", "control", "strategy", "guests", "password", "item", "person")


class WishError(ValueError):
    """What somebody wants is not allowed; the message is the reason in one line."""


@dataclass(slots=True)
class RoomFacts:
    """What a room is."""

    room: str
    """Twelve letters that need no escape in an address."""
    name: str
    access: str = "open"
    """open: it is in the lobby. invitation: only who has the invitation comes in."""
    control: str = "all"
    """Who may pause, seek and choose the film: all, or hosts."""
    strategy: str = "mix"
    guests: bool = True
    """Whether people without an account of the shop may come in."""
    links: bool = False
    """Whether addresses in the chat are links."""
    invitation: str = ""
    password: str = ""
    """A salt and a hash (scrypt) in hexadecimal digits; empty without a password."""
    hosts: list[str] = field(default_factory=list)
    """The ids of the hosts, also of those who are away."""

    def encode(self) -> str:
        """Encode the facts for the store."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def decode(cls, text: str | bytes) -> "RoomFacts":
        """Decode facts of the store."""
        return cls(**json.loads(text))

    def to_message(self) -> dict[str, Any]:
        """Return what members are told."""
        names = ("room", "name", "access", "control", "strategy", "links", "guests", "invitation")
        return {name: getattr(self, name) for name in names}

    def to_public(self, members: int) -> dict[str, Any]:
        """Return what everybody may know who has the room's address."""
        return {
            "room": self.room,
            "name": self.name,
            "access": self.access,
            "guests": self.guests,
            "locked": bool(self.password),
            "members": members,
        }


@dataclass(slots=True)
class Member:
    """Somebody who is in a room now."""

    id: str
    name: str
    user: str = ""
    """The user's id in the shop; empty for a guest."""
    process: str = ""
    """The process that holds the socket."""
    socket: str = ""
    """The socket, of which a member has one."""
    joined: float = 0.0
    """When the member came, in seconds since 1970."""
    behind: bool = False
    """Whether the room went on without them, and they have not been ready since."""

    def encode(self) -> str:
        """Encode the member for the store."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def decode(cls, text: str | bytes) -> "Member":
        """Decode a member of the store."""
        return cls(**json.loads(text))

    def to_message(self, hosts: list[str]) -> dict[str, Any]:
        """Return what the others are told; a user's id is not theirs to know."""
        return {
            "id": self.id,
            "name": self.name,
            "host": self.id in hosts,
            "user_known": bool(self.user),
            "behind": self.behind,
        }


def build_room(wish: Any) -> tuple[RoomFacts, str]:
    """Build a room of what somebody wants, and return its film, too.

    Raises:
        WishError: a field is unknown, or its value is not allowed.
    """
    if not isinstance(wish, dict):
        raise WishError('give an object like {"name": "Friday"}')
    for name, value in wish.items():
        if name not in _WISHES:
            raise WishError(f"{name[:50]!r} is no field: use {', '.join(_WISHES)}")
        if name in _CHOICES and value not in _CHOICES[name]:
            choices = ", ".join(map(str, _CHOICES[name])).lower()
            raise WishError(f"{name} has to be one of {choices}")
    facts = RoomFacts(secrets.token_urlsafe(9), check_name(wish.get("name")))
    for name in _CHOICES:
        if name in wish:
            setattr(facts, name, wish[name])
    if facts.access == "invitation":
        facts.invitation = secrets.token_urlsafe(16)
    if wish.get("password"):
        facts.password = hash_password(check_text("password", wish["password"], MAX_PASSWORD))
    item = ""
    if wish.get("item"):
        item = check_text("item", wish["item"], MAX_ITEM)
    return facts, item


def check_name(value: Any) -> str:
    """Return a name without blanks around it and without letters that can't be seen.

    Raises:
        WishError: it is no text, empty or too long.
    """
    return check_text("name", value, MAX_NAME)


def check_text(field_name: str, value: Any, longest: int) -> str:
    """Return a text without blanks around it and without letters that can't be seen.

    Raises:
        WishError: it is no text, empty or too long.
    """
    if not isinstance(value, str):
        raise WishError(f"{field_name} has to be text of 1 to {longest} letters")
    text = "".join(letter for letter in value if is_visible(letter)).strip()
    if not 0 < len(text) <= longest:
        raise WishError(f"{field_name} has to have 1 to {longest} letters, and has {len(text)}")
    return text


def is_visible(letter: str) -> bool:
    """Whether a letter can be seen, or joins others (as the parts of an emoji)."""
    if letter in "\u200d\ufe0f":
        return True
    # Control letters, and those that turn the direction of what follows.
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Return a salt and the password's hash with it, in hexadecimal digits."""
    if salt is None:
        salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
    return salt.hex() + digest.hex()


def is_password(facts: RoomFacts, password: str) -> bool:
    """Whether a password is that of the room."""
    salt = bytes.fromhex(facts.password[:32])
    return secrets.compare_digest(hash_password(password, salt), facts.password)
