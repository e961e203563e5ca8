"""Example functions: business code in `orders`, entry files for each platform beside it."""
