"""`wishgrid`: what an operator or developer does from a shell."""
