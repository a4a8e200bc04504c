"""What happens each cycle: one folder per machine family."""
