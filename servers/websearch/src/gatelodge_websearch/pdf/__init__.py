"""Text of PDF files, found by pypdfium2 (the extra ``pdf``) in a process of its own."""
