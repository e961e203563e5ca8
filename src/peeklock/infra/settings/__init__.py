"""The numbers of each platform, as pure functions of a queue and a capacity."""
