"""Small wrong changes of accelsim, and whether its tests notice them."""
