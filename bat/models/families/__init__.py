"""The architectures that are built in, one file a family.

A file that is put here is found by itself. Its ``FAMILY`` says which names it builds; it is read
without running the file (`bat.config.architectures`), so it holds plain values only:

``names``
    A pattern, whose groups ``depth`` and ``width`` are numbers.
``written``
    How the names are written, for messages.
``smallest_edge``
    Edge in pixels of the smallest image that the poolings leave anything of; 1 if it is left out.
``depths``
    The smallest depth, and the step to the next; any if it is left out.

Its ``build(n_classes, channels, **numbers)`` makes a `Classifier` with the numbers in the name.
"""
