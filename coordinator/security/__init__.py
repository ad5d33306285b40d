"""What protects a coordinator: certificates, tokens, and the hiding of secrets."""
