"""The durable store of references and its exact search."""
