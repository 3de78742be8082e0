"""Training of the network that mends series by their picture: on pages as read, or on pairs of picture and signal."""
