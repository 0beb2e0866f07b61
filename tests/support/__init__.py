"""Servers, literals and checks that several tests share."""
