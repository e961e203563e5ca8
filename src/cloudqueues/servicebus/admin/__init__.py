"""The management API: ATOM entries over HTTP, which the administration clients of the SDKs speak.

https://learn.microsoft.com/rest/api/servicebus/
"""
