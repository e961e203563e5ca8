"""The claim protocol: one record per key, and what a delivery may do given that record."""
