"""Collect where the shop is, from options and from the section `shop` of its settings file."""

from dawnlist.namespace import check_namespace
from dawnlist.settings import Settings, ShopSettings
from dawnlist.urls import REDIS_PASSWORD, SOURCE_PASSWORD, refuse_password


def read_shop_section(shop_file: str) -> ShopSettings:
    """Read the section `shop` of a settings file; the defaults without a file.

    Raises:
        ValueError: The file is wrong, or has no such section.
    """
    if not shop_file:
        return ShopSettings()
    shop = Settings.load(shop_file).shop
    if shop == ShopSettings():
        raise ValueError(
            f"{shop_file!r} has no section `shop`: give it name, source, lake and store (docs/SETTINGS.md)"
        )
    return shop


def collect_option_values(
    source: str, lake: str, redis: str, namespace: str, settings: str, shop_file: str = ""
) -> dict[str, str]:
    """Collect the parameters that were given as options, by name.

    Args:
        source: The source's URL, and so on. Empty texts were not given.
        lake: The lake's URI.
        redis: The store's URL.
        namespace: The shop's name.
        settings: Where the pods find the shop's settings.
        shop_file: A settings file whose section `shop` has what was not given as an option.

    Raises:
        ValueError: A URL contains a password, or the pods of a cluster can't use the value.
    """
    shop = read_shop_section(shop_file)
    source = source or shop.source
    lake = lake or shop.lake
    redis = redis or shop.store
    namespace = namespace or shop.name
    if shop_file:
        settings = settings or shop.settings
    refuse_password(source, SOURCE_PASSWORD)
    refuse_password(redis, REDIS_PASSWORD)
    if lake and not lake.startswith(("gs://", "s3://")):
        raise ValueError(
            f"pods can't reach the lake {lake!r}: give gs://BUCKET/PATH or s3://BUCKET/PATH"
        )
    if redis and "://" not in redis:
        raise ValueError(
            f"pods can't reach the store {redis!r}: give a URL, e.g. redis://HOST:6379/0"
        )
    values = {"shop": check_namespace(namespace)}
    options = {
        "shop_source": source,
        "shop_lake": lake,
        "shop_store": redis,
        "shop_settings": settings,
    }
    for name, value in options.items():
        if value:
            values[name] = value
    return values
