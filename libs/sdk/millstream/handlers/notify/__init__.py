"""`notify.send` and `sms.send`: messages by whatever Apprise speaks, to URLs of the operator."""
