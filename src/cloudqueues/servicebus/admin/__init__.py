"""Management API: ATOM entries over HTTP, for the administration clients of the SDKs.

https://learn.microsoft.com/rest/api/servicebus/
"""
