"""Files that stages hand to each other, and files from elsewhere: formats and checks."""
