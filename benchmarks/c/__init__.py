"""Every kernel's loop once more in plain C, to compare results and speed."""
