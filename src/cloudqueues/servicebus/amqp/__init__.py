"""AMQP 1.0 protocol: values, frames, connections, sessions and links, without any knowledge of queues."""
