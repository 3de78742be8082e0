"""The nouns of ECG Studio: pages, keypoints, grids, traces, records and corrections. Numpy only, no I/O."""
