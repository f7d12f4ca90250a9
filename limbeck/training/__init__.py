"""Training: token ids, batches and the Trainer."""
