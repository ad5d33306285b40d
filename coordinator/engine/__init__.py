"""What a claim is: transactions built as values, and their results interpreted. No I/O, no clock, no gRPC.

Briefings, the pool and topics are packages. There are more than twelve files because each other command and each other
question has one of its own, and so has what they stand on: documents, layout, snapshot, steps, transaction.
"""
