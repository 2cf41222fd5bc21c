"""droidheaders measured against doing the same by hand."""
