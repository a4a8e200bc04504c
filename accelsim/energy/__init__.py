"""What an event costs and what a component occupies."""
