"""The verbs: each stage turns what the stages before it found into the next thing known about a page.

Numpy, scipy, OpenCV and scikit-image only. Networks are reached through the `Runtime` a caller hands in.
"""
