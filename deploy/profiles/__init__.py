"""`wishgrid profile check`: what is wrong in the files of towns, line by line, before a service
meets them."""
