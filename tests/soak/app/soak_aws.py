"""The soak's Lambda function."""

from business import handle, options, timed

from peeklock import sqs

handler = timed(sqs.bind(handle, **options()))
