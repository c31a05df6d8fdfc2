"""Pure cryptography: bytes in, bytes out, the time always passed in."""
