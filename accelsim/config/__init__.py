"""What a machine is: YAML in, a typed and frozen description out, errors with file and line."""
