"""What is computed for one study: poisoning, features, representation, theory, annotation."""
