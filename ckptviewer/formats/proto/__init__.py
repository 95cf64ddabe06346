"""Small protobuf schemas of our own, and the classes generated from them."""
