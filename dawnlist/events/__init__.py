"""What people do in the shop, as it happens: the events' schema, their stream and their table."""
