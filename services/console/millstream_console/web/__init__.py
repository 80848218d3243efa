"""What all pages share on the way from a request to an answer."""
