"""What every platform's `bind` shares."""
