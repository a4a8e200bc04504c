"""Published figures against this build."""
