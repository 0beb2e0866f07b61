"""The commands on withdrawn items: items withdraw, restore and withdrawn."""
