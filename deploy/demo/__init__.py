"""A played town: scenarios as data, what must come out as data of its own."""
