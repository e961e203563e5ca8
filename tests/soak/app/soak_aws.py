"""The soak's Lambda function."""

from business import handle, options

from peeklock import sqs

handler = sqs.bind(handle, **options())
