"""Binding a consumer to a platform: options, environment, addresses and settling, shared by every `bind`."""
