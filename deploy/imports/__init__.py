"""Lists of other systems and of the past, read by a mapping and sent to intake line by line."""
