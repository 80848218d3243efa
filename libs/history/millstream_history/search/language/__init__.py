"""The query language: its fields, its terms, and the conditions that they become."""
