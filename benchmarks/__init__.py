"""Side by side with aws-lambda-powertools, in one run, on one machine: ratios, not records."""
