"""What a reader must know about event tables, and about the snapshots made of them."""
