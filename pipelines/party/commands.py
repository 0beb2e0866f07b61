"""The command `party`: rooms in which people watch a film together."""

from typing import Annotated

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    NamespaceOption,
    RedisOption,
    SettingsOption,
)


def party_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    predictor: Annotated[
        str, typer.Option(help="Address of a predictor, which suggests films for a group.")
    ] = "",
    collector: Annotated[
        str, typer.Option(help="Address of a collector, which is told what people watch.")
    ] = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; `0.0.0.0` in a container.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8083,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Serve watch parties: rooms in which people see the same moment of the same film.

    Users are known by the tokens that DAWNLIST_JWT_KEY checks (docs/WATCHPARTY.md). Keys for the
    predictor and the collector come from DAWNLIST_API_KEY and DAWNLIST_COLLECTOR_KEYS.

    Example: `dawnlist party`, then open http://127.0.0.1:8083
    """
    from dawnlist.serving.watchparty.server import PartyPlaces, run_party
    from dawnlist.settings import Settings

    shop_settings = Settings.load(settings)
    with option_parsing.provide_store_url(redis, home) as url:
        typer.echo(f"open http://{host}:{port}")
        places = PartyPlaces(url, predictor, collector)
        run_party(places, namespace, shop_settings.party, host, port)
