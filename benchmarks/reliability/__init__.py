"""What happens when things go wrong: the figures of docs/reliability.md."""
