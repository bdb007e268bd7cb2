"""`make demo`: the product's main job on this machine, told step by step and checked."""
