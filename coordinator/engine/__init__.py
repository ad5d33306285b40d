"""What a claim is: transactions built as values, and their results interpreted. No I/O, no clock, no gRPC.

There are more than twelve files because each command and each question has one of its own.
"""
