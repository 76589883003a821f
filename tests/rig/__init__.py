"""What stands in for the outer world when rooms of the collection are tried."""
