"""`file.process`: copies, compresses and checks files, local or of an object store."""
