"""Stores: compare-and-swap over records, without any policy. One module each, loaded by the scheme of its URL."""
