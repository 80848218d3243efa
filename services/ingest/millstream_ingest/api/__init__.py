"""The API: its routes, what carries a request to one of them, and the document that describes them."""
