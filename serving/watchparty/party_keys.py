"""The keys of watch parties in the store. All keys of a shop share a slot of a cluster.

dawnlist:{SHOP}:party:secret        random bytes that sign tickets, the same for all processes
dawnlist:{SHOP}:party:open          set of the ids of open rooms
dawnlist:{SHOP}:party:room:ID       hash: `facts` and `state` as JSON, `queue` as JSON, `chat_seq`
dawnlist:{SHOP}:party:members:ID    hash: the members that are in the room now, as JSON
dawnlist:{SHOP}:party:chat:ID       list of what was said, as JSON, the oldest first
dawnlist:{SHOP}:party:said:ID       hash: what was said, by member and the client's id of it
dawnlist:{SHOP}:party:votes:ID      hash: a field for each member and item
dawnlist:{SHOP}:party:watched:ID    hash: seconds of its film, for each member and item
dawnlist:{SHOP}:party:kicked:ID     set of members who may not come back
dawnlist:{SHOP}:party:process:ID    exists as long as a process lives

The channel of a room has the name of its key.
"""

from dawnlist.store.layout import ShopKeys


class PartyKeys(ShopKeys):
    """The names of one shop's keys of watch parties."""

    @property
    def secret(self) -> str:
        """The random bytes that sign tickets."""
        return self.build_control_key("party:secret")

    @property
    def open_rooms(self) -> str:
        """The ids of the open rooms."""
        return self.build_control_key("party:open")

    def room(self, room: str) -> str:
        """Return the key of a room's facts and state, which is its channel's name, too."""
        return self.build_control_key(f"party:room:{room}")

    def part(self, name: str, room: str) -> str:
        """Return the key of a part of a room: members, chat, said, votes, watched or kicked."""
        return self.build_control_key(f"party:{name}:{room}")

    def process(self, process: str) -> str:
        """Return the key that says that a process lives."""
        return self.build_control_key(f"party:process:{process}")
