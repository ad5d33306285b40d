"""What a claim is: transactions built as values, and their results interpreted. No I/O, no clock, no gRPC."""
