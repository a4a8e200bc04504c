"""Tables, files and pictures of a result."""
