"""Messages and PDUs: bytes in, values out, and the other way round."""
