"""Files in and out: pages are read here, records and reports are written here. No networks, no stages."""
