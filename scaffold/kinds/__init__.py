"""Server and client kinds: template folders, what they declare they can enforce, and rendering."""
