"""How a page is found and read: places, statements within a budget, cursors, counts."""
