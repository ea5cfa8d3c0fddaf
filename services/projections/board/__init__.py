"""The board: web pages over what the read API says, for people with a browser."""
