"""Statistics: intervals, tests and corrections; what is compared with what is decided above."""
