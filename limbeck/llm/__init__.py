"""A large model: how it is asked, and its replies taken apart."""
