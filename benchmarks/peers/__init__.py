"""How fast this product and others hand out the same work, side by side in one run."""
