"""AMQP 1.0: values, frames, connections, sessions and links. What they carry, and what becomes of it, is elsewhere."""
