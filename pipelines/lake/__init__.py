"""Commands on the lake: crawl, query, backfill and upkeep."""
