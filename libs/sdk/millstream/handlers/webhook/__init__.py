"""`webhook.call`: one POST, signed for its endpoint."""
