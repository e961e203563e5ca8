"""`peeklock dev`: a project's handlers on local stand-ins of its clouds."""
