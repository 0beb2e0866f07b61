"""Settings of watch parties."""

import re

from pydantic import Field, field_validator

from dawnlist.settings.section import Section


class PartySettings(Section):
    """What rooms of watch parties are like (docs/WATCHPARTY.md)."""

    film_url: str = ""
    """Where a film lies, with {item} for its id, e.g. https://films.example/{item}/index.m3u8.

    An .m3u8 is played as HLS. Without it every film is the short demo film.
    """
    origins: list[str] = Field(default_factory=list)
    """Origins of other pages that may open sockets, e.g. [https://shop.example].

    Pages of this server always may.
    """
    room_size: int = Field(default=200, ge=2, le=1000)
    """People in one room at most."""

    @field_validator("film_url")
    @classmethod
    def _check_film_url(cls, url: str) -> str:
        if url and ("{item}" not in url or not re.match(r"https?://|/", url)):
            raise ValueError(
                f"{url!r} is no address of films: give one such as "
                "https://films.example/{item}/index.m3u8"
            )
        return url

    @field_validator("origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not re.fullmatch(r"https?://[^/?#\s]+", origin):
                raise ValueError(f"{origin!r} is not like https://shop.example: leave out the path")
        return origins
