"""The workstation: a Qt window in which every stage of every page is seen, corrected by hand and exported."""
