"""What commands say to people; the JSON that they print for programs is in ``json_objects``."""
