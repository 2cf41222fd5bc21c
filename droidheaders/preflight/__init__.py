"""What can be known before anything is pushed: which questions a kernel answers with yes."""
