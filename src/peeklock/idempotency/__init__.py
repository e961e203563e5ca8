"""The claim protocol: what a delivery may do, given the record of its key."""
