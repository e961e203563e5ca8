"""Infrastructure from the same declaration: Pulumi components, with every number computed from the `Queue`.

`peeklock.infra.aws`, `.azure` and `.gcp` each have an `App`; `peeklock.infra.settings` has the numbers, as pure functions.
Never in a function's bundle.
"""
