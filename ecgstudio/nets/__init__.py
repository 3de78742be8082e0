"""The torch seam: the networks, their weights, and the runtime that answers for them.

Nothing else in ``ecgstudio`` imports torch, and importing this package alone does not load it either: import
the module you need (``nets.torch_runtime`` for use, ``nets.keypoint_net`` and its siblings for training).
"""
