"""A shop that can be asked for any size and seed, with hidden truth labels for everything that is not a person.

`simulate_shop(ShopConfig(...))` gives a `SimulatedShop` of raw tables, `write_shop(shop, url)` puts them where production would have them.
"""

from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.shop import SimulatedShop, simulate_shop
from dawnlist.simulate.write import write_shop

__all__ = ["ShopConfig", "SimulatedShop", "simulate_shop", "write_shop"]
