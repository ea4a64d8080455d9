"""Reference modules that no library has: ours, in torch, one file per family."""
