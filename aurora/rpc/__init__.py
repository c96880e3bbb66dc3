"""The gRPC contracts of protos/: generated stubs and the channels and servers that carry them.

``storage_pb2*`` and ``compute_pb2*`` are generated and committed, so that an install needs no protoc; ``make proto``
makes them anew.
"""
