"""Programs to copy: each hands in a wish and reads its answer. Nothing of ours imports them."""
