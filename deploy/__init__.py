"""How the suite is run: servers, topics, towns, the command line."""
