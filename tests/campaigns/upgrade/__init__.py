"""An upgrade: coordinators of the last release and of this tree, side by side on one store, and one after the other."""
