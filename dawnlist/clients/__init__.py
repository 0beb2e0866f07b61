"""Clients for servers in Python, which need nothing but the standard library."""
