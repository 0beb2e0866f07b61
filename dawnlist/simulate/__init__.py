"""A simulated shop of any size and seed, with truth labels for everybody who is not a customer.

`simulate_shop(ShopConfig(...))` returns a `SimulatedShop` of raw tables, and
`write_shop(shop, url)` writes them to where production has them.
"""

from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.shop import SimulatedShop, simulate_shop
from dawnlist.simulate.write import write_shop

__all__ = ["ShopConfig", "SimulatedShop", "simulate_shop", "write_shop"]
