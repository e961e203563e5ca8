"""Stores: compare-and-swap over records, and no policy at all. One module each, loaded by the scheme of its URL."""
