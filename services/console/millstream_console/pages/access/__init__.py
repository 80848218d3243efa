"""Who may use the console: signing in and out, oneself, keys and sessions."""

from millstream_console.pages.access import key_pages, me, openid_sign_in, session_pages, sign_in

HANDLERS = (*sign_in.HANDLERS, *openid_sign_in.HANDLERS, *me.HANDLERS, *key_pages.HANDLERS, *session_pages.HANDLERS)
