"""SQS on AWS Lambda."""
