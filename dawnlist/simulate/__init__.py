"""A shop that can be asked for any size and seed, with hidden truth labels for everything that is not a person.

`simulate(ShopConfig(...))` gives a `Shop` of raw tables, `write(shop, url)` puts them where production would have them.
"""

from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.shop import Shop, simulate
from dawnlist.simulate.write import write

__all__ = ["Shop", "ShopConfig", "simulate", "write"]
