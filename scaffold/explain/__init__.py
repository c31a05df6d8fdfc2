"""A handshake told step by step, on the certificates and files of both ends as they are today."""
