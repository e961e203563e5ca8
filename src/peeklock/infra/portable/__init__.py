"""Everything that the components compute, as plain data: for Terraform, CDK, and programs in other languages."""

from peeklock.infra.portable.document import FORMAT, document
from peeklock.infra.portable.stack import Stack

__all__ = ["FORMAT", "Stack", "document"]
