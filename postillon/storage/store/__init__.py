"""The store: mail, queue, directory rows and locks as transactions over any `Database`."""
