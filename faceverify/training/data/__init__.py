"""Training data: face sets of any format, loaded, augmented and batched.

``sets`` opens them, ``samplers`` choose the images of each batch, ``loading`` loads and caches
them, ``transforms`` augments them; ``writers`` convert and split sets for ``faceverify data``.
"""
