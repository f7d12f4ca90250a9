"""Statistics on plain arrays: intervals, tests with their corrections, correlation and agreement."""
